package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/postrider/postrider/internal/config"
)

type configCommands struct {
	Check  configCheck  `cmd:"" help:"Check the configuration and everything it refers to."`
	Print  configPrint  `cmd:"" help:"Print what is in force, with defaults and the environment, secrets masked."`
	Schema configSchema `cmd:"" help:"Print a JSON Schema of the file, for editors."`
	Init   configInit   `cmd:"" help:"Print a commented file to begin with, or write it."`
}

type configCheck struct{}

// Run prints what was checked, or fails with every fault.
func (configCheck) Run(p *program) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	for _, w := range c.Warnings {
		p.say("warning: " + w.Error())
	}
	source := c.Source
	if source == "" {
		source = "the embedded default (no configuration file was found)"
	}
	_, err = fmt.Fprintf(p.stdout, "OK: %s\n", source)
	return err
}

type configPrint struct{}

// Run prints YAML that could be loaded again. That there are no users yet keeps
// nobody from seeing what else is in force.
func (configPrint) Run(p *program) error {
	c, err := config.Loader{Bystander: true}.Load(p.configFile, p.environ)
	if err != nil {
		return err
	}
	if _, err := os.Stat(c.Auth.UsersFile); c.Auth.UsersFile != "" && errors.Is(err, fs.ErrNotExist) {
		p.say("note: auth.users_file " + c.Auth.UsersFile + " does not exist yet; `postrider user add NAME` makes it")
	}
	text, err := config.Print(c)
	if err != nil {
		return err
	}
	_, err = p.stdout.Write(text)
	return err
}

type configSchema struct{}

// Run prints the schema.
func (configSchema) Run(p *program) error {
	text, err := config.Schema()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n", text)
	return err
}

type configInit struct {
	File string `arg:"" optional:"" placeholder:"FILE" help:"File to write; it must not exist. Default: standard output."`
}

// Run writes the starter file, and never over another one.
func (c configInit) Run(p *program) error {
	if c.File == "" {
		_, err := p.stdout.Write(config.Starter())
		return err
	}
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usageError{c.File + " exists already; name another file"}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return usageError{c.File + " can't be made: there is no directory " + filepath.Dir(c.File)}
	}
	if err != nil {
		return fmt.Errorf("writing a configuration: %w", err)
	}
	if _, err := f.Write(config.Starter()); err != nil {
		f.Close()
		return fmt.Errorf("writing a configuration: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing a configuration: %w", err)
	}
	_, err = fmt.Fprintf(p.stdout, "%s written. Next: `postrider user add NAME -c %s`, then `postrider serve -c %s`.\n", c.File, c.File, c.File)
	return err
}
