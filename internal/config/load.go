package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
)

// Places where a configuration file is looked for when none is named.
const (
	LocalFile  = "./postrider.yaml"
	SystemFile = "/etc/postrider/postrider.yaml"
)

// embeddedName stands for the file in errors about the embedded default.
const embeddedName = "embedded default"

// Load reads the configuration: the file at path, or at the place that Find
// names, and the variables of environ ("NAME=value") over it. The error is of
// type Errors unless the file can't be read at all.
func Load(path string, environ []string) (*Config, error) {
	return Loader{}.Load(path, environ)
}

// Loader reads configurations.
type Loader struct {
	// Bystander accepts what only the relay itself can't do without, for commands
	// that don't run it: that auth.users_file does not exist yet, and that nothing
	// can be written to state_dir.
	Bystander bool
	// Hostname stands where nobody set one, for commands that have no use for it.
	// Otherwise the system is asked for its name, which takes two seconds if its DNS
	// does not answer.
	Hostname string
	// Users reads the users file for its faults; nil where they don't matter.
	Users func(file string) error
}

// Load is as the function Load.
func (l Loader) Load(path string, environ []string) (*Config, error) {
	source, err := Find(path, environ)
	if err != nil {
		return nil, err
	}
	return l.parse(environ, source)
}

// Find returns the configuration file to be used: path if it is given, then
// POSTRIDER_CONFIG, then LocalFile, then SystemFile; nothing for the embedded
// default. A file that was named must exist.
func Find(path string, environ []string) (string, error) {
	variable := ""
	if path == "" {
		for _, pair := range environ {
			if value, ok := strings.CutPrefix(pair, EnvFile+"="); ok && value != "" {
				path, variable = value, EnvFile
			}
		}
	}
	if path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", Errors{{File: path, Variable: variable, Problem: "can't read the configuration file " + path + ": " + reason(err)}}
		}
		return path, nil
	}
	for _, place := range []string{LocalFile, SystemFile} {
		_, err := os.Stat(place)
		if err == nil {
			return place, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", Errors{{File: place, Problem: "can't read the configuration file " + place + ": " + reason(err)}}
		}
	}
	return "", nil
}

// parse reads the file source, or the embedded default if that is empty.
func (l Loader) parse(environ []string, source string) (*Config, error) {
	text, f := embedded, &faults{file: embeddedName}
	if source != "" {
		var err error
		if text, err = os.ReadFile(source); err != nil {
			return nil, Errors{{File: source, Problem: "can't read the configuration file " + source + ": " + reason(err)}}
		}
		f.file = strings.TrimPrefix(source, "./")
	}
	return l.build(text, environ, source, f)
}

// build turns text and environment into a checked configuration.
func (l Loader) build(text []byte, environ []string, source string, f *faults) (*Config, error) {
	root := parseYAML(text, f)
	if root == nil {
		return nil, f.err()
	}
	root = overlay(root, environ, f)
	d := &decoder{faults: f, where: make(map[string]position)}
	c := defaults()
	d.value(root, "", reflect.ValueOf(c).Elem())
	c.Source = source
	if root != nil && root.shape != shapeMapping && root.shape != shapeNull {
		return nil, f.err()
	}
	c.places = places{file: f.file, where: d.where}
	check := &checker{faults: f, places: c.places, config: c, loader: l, warnings: faults{file: f.file}, unread: slices.Clone(f.unsound)}
	check.complete()
	check.all()
	if err := f.err(); err != nil {
		return nil, err
	}
	c.Warnings = check.warnings.sorted()
	return c, nil
}

// reason returns what is wrong with a file without its name, for messages that
// tell the name themselves. Who is not permitted it names: in a container that is
// often another user than was thought.
func reason(err error) string {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Sprintf("%v to uid %d", err, os.Geteuid())
	}
	return err.Error()
}
