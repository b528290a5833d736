package config

import (
	"os"
	"slices"
	"strings"
)

// StateDir returns the state directory of the configuration that Load would read,
// for commands that need nothing else: who looks after a running relay must not be
// locked out by a mistake elsewhere in its file. The error is what is wrong with
// the configuration; the directory is empty only if it can't be told from it.
func StateDir(path string, environ []string) (string, error) {
	c, err := Loader{Bystander: true, Hostname: "localhost"}.Load(path, environ)
	if err == nil {
		return c.StateDir, nil
	}
	for _, o := range overrides(environ) {
		if slices.Equal(o.path, []string{"state_dir"}) && o.value != "" {
			return o.value, err
		}
	}
	text := embedded
	source, failed := Find(path, environ)
	if failed == nil && source != "" {
		text, failed = os.ReadFile(source)
	}
	if failed != nil {
		return "", err
	}
	return stateDirIn(text), err
}

// stateDirIn returns the state directory that a broken file names, or the default
// if it surely names none. Where the file as a whole is no YAML, the line at its
// top level may be.
func stateDirIn(text []byte) string {
	root := parseYAML(text, &faults{})
	if root == nil {
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "state_dir:") {
				root = parseYAML([]byte(line), &faults{})
			}
		}
	}
	if root == nil || root.shape != shapeMapping && root.shape != shapeNull {
		return ""
	}
	if n := root.lookup("state_dir"); n != nil {
		return n.text
	}
	for _, e := range root.entries {
		if nearest(e.key, []string{"state_dir"}) != "" {
			return "" // misspelt: another relay may run on the default
		}
	}
	return defaults().StateDir
}
