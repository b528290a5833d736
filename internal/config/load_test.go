package config

import (
	"path/filepath"
	"testing"
	"time"
)

// The embedded default is part of the contract with users.
func TestEmbeddedDefault(t *testing.T) {
	c := Default()
	l := c.Listeners[0]
	if len(c.Listeners) != 1 || l.Address != "127.0.0.1:2525" || l.TLS != TLSStartTLS || l.Auth != AuthRequired || !l.AllowInsecureAuth {
		t.Errorf("listeners: %+v", c.Listeners)
	}
	if c.StateDir != "./postrider-data" || c.Auth.UsersFile != filepath.Join("postrider-data", "users") {
		t.Errorf("state in %q, users in %q", c.StateDir, c.Auth.UsersFile)
	}
	if c.Admin.Address != "127.0.0.1:8025" || c.ShutdownTimeout != 25*time.Second || c.Source != "" {
		t.Errorf("admin %q, shutdown_timeout %v, source %q", c.Admin.Address, c.ShutdownTimeout, c.Source)
	}
	if c.Policies != nil {
		t.Errorf("policies are %v: without the key there are none at all", c.Policies)
	}
}

func TestByteOrderMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.yaml")
	write(t, path, "\ufeffhostname: relay.example.com\nlisteners: [{address: \"127.0.0.1:2525\", auth: none, tls: none}]\n")
	c, err := Loader{Bystander: true}.Load(path, nil)
	if err != nil || c.Hostname != "relay.example.com" {
		t.Errorf("a file that begins as Windows' editors begin it: %v", err)
	}
}

// A secret may be written as a block, with the line end that belongs to it.
func TestSecretWithoutItsLineEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postrider.yaml")
	write(t, path, "listeners: [{address: \":5870\"}]\nroutes:\n  - smarthosts: [\"submissions://user@mail.example.com\"]\n    password: |\n      open sesame\n")
	c, err := Loader{Bystander: true}.Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(c.Routes[0].Password); got != "open sesame" {
		t.Errorf("the password is %q", got)
	}
}
