package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one fault of a configuration: where it stands, and what was expected
// there.
type Error struct {
	// File is the file it stands in, as it was named; Line counts from 1, and is
	// zero where the fault is that something is missing.
	File string
	Line int
	// Variable is the environment variable the value came from, instead of
	// File and Line.
	Variable string
	// Key is the path of the key: "listeners[0].tls".
	Key string
	// Problem says what is wrong and what was expected.
	Problem string
}

// Error returns the fault on one line: "postrider.yaml:12: listeners[0].tls: ...".
func (e *Error) Error() string {
	var b strings.Builder
	switch {
	case e.Variable != "":
		fmt.Fprintf(&b, "environment %s: ", e.Variable)
	case e.Line > 0:
		fmt.Fprintf(&b, "%s:%d: ", e.File, e.Line)
	case e.File != "":
		b.WriteString(e.File + ": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Problem)
	return b.String()
}

// Errors are all faults of one configuration, in the order of the file.
type Errors []*Error

// Error returns one line for each fault.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes each fault reachable for errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// faults collects errors while a configuration is read and checked.
type faults struct {
	file string
	list Errors
	// unsound are the paths of keys that have a fault, or may be what somebody
	// meant by a key nobody knows. Nothing else is concluded from their values.
	unsound []string
}

// add notes a fault at a position.
func (f *faults) add(at position, key, format string, args ...any) {
	e := &Error{Key: key, Problem: fmt.Sprintf(format, args...)}
	if at.variable != "" {
		e.Variable = at.variable
	} else {
		e.File, e.Line = f.file, at.line
	}
	f.list = append(f.list, e)
	f.doubt(key)
}

// unknown notes a key below path that is none of known. What it may stand for is
// left out of the checks: somebody has set it.
func (f *faults) unknown(at position, path, key string, known []string) {
	hint := suggest(key, known)
	if hint == "" && path == "" {
		hint = outdented(key)
	}
	f.add(at, join(path, key), "unknown key%s", hint)
	if meant := nearest(key, known); meant != "" {
		f.doubt(join(path, meant))
	}
}

// doubt notes that the value of a key says nothing.
func (f *faults) doubt(key string) {
	if key != "" {
		f.unsound = append(f.unsound, key)
	}
}

// touches reports whether one of keys is path, lies in it, or holds it.
func touches(keys []string, path string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return within(key, path) || within(path, key) })
}

// within reports whether path is key or lies in it.
func within(path, key string) bool {
	rest, ok := strings.CutPrefix(path, key)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// err returns what was collected, in the order of the file, or nil.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	return f.sorted()
}

func (f *faults) sorted() Errors {
	slices.SortStableFunc(f.list, func(a, b *Error) int {
		return cmp.Or(strings.Compare(a.Variable, b.Variable), cmp.Compare(a.Line, b.Line))
	})
	return f.list
}
