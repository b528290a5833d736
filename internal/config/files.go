package config

import "path/filepath"

// ControlSocket returns the path of the socket that a running relay is reached
// by.
func (c *Config) ControlSocket() string { return filepath.Join(c.StateDir, "control.sock") }

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
