package config

import "path/filepath"

// ControlSocket returns the path of the socket by which the relay that runs on a
// state directory is reached.
func ControlSocket(stateDir string) string { return filepath.Join(stateDir, "control.sock") }

// Files returns the files c came from and refers to: when one of them changes, a
// reload may come to something else. Empty names are left out.
func (c *Config) Files() []string {
	var files []string
	add := func(names ...string) {
		for _, name := range names {
			if name != "" {
				files = append(files, name)
			}
		}
	}
	add(c.Source, c.Auth.UsersFile, c.TLS.Certificate, c.TLS.Key, c.TLS.ClientCA)
	for _, r := range c.Routes {
		add(r.PasswordFile, r.CAFile)
	}
	return files
}
