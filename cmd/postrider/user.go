package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/postrider/postrider/policy"
)

type userCommands struct {
	Add    userAdd    `cmd:"" help:"Add a user, or give one another password. The password is asked for, or read from stdin."`
	Remove userRemove `cmd:"" help:"Remove a user."`
	List   userList   `cmd:"" help:"List the users' names."`
}

// usersFile returns the users file of the configuration, which need not exist.
func (p *program) usersFile() (string, error) {
	c, err := p.bystand()
	if err != nil {
		return "", err
	}
	if c.Auth.UsersFile == "" {
		return "", c.Fault("auth.users_file", "is not set, and no listener has auth: required; expected a file")
	}
	return c.Auth.UsersFile, nil
}

type userAdd struct {
	Name  string `arg:"" help:"Name to log in with."`
	SCRAM bool   `name:"scram" help:"Also store a SCRAM-SHA-256 verifier, so that the password need not travel."`
}

// Run needs no daemon; a running one picks the change up by itself.
func (c userAdd) Run(p *program) error {
	file, err := p.usersFile()
	if err != nil {
		return err
	}
	password, err := p.readPassword("Password for " + c.Name + ": ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("making the directory of %s: %w", file, err)
	}
	if err := policy.AddUser(file, c.Name, password, c.SCRAM); err != nil {
		return userFileError(err)
	}
	_, err = fmt.Fprintf(p.stdout, "%s may log in now (%s)\n", c.Name, file)
	return err
}

type userRemove struct {
	Name string `arg:"" help:"Name of the user."`
}

// Run needs no daemon.
func (c userRemove) Run(p *program) error {
	file, err := p.usersFile()
	if err != nil {
		return err
	}
	if err := policy.RemoveUser(file, c.Name); err != nil {
		return userFileError(err)
	}
	_, err = fmt.Fprintf(p.stdout, "%s is removed from %s\n", c.Name, file)
	return err
}

type userList struct{}

// Run prints one name a line; a file that does not exist has none.
func (userList) Run(p *program) error {
	file, err := p.usersFile()
	if err != nil {
		return err
	}
	names, err := policy.ListUsers(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return userFileError(err)
	}
	for _, name := range names {
		if _, err := fmt.Fprintln(p.stdout, name); err != nil {
			return err
		}
	}
	return nil
}

// userFileError tells a name or a password that can't be taken from a file that
// can't be used.
func userFileError(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return err
	}
	return dataError{err.Error()}
}
