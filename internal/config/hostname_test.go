package config

import (
	"fmt"
	"path/filepath"
	"testing"
)

// DNS that is down at a reload must not rename the relay.
func TestSystemIsAskedForItsNameOnce(t *testing.T) {
	defer func(before func() string) { findHostname = before }(findHostname)
	asked := 0
	findHostname = func() string {
		asked++
		return fmt.Sprintf("relay%d.example.com", asked)
	}
	file := filepath.Join(t.TempDir(), "f.yaml")
	write(t, file, "listeners: [{address: \":5870\"}]\n")
	var names []string
	for range 2 {
		c, err := Loader{Bystander: true}.Load(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, c.Hostname)
	}
	if names[0] != names[1] || asked > 1 {
		t.Errorf("the names are %v, asked for %d times", names, asked)
	}
}

// Who has no use for the name does not wait for it.
func TestNameIsNotAskedForInVain(t *testing.T) {
	defer func(before func() string) { systemHostname = before }(systemHostname)
	systemHostname = func() string {
		t.Error("the system is asked for its name")
		return ""
	}
	file := filepath.Join(t.TempDir(), "f.yaml")
	write(t, file, "listeners: [{address: \":5870\"}]\n")
	if _, err := StateDir(file, nil); err != nil {
		t.Error(err)
	}
	write(t, file, "hostname: relay.example.com\nlisteners: [{address: \":5870\"}]\n")
	if _, err := (Loader{Bystander: true}).Load(file, nil); err != nil {
		t.Error(err)
	}
}
