package config

import "strings"

// places tell where the keys of a configuration were written.
type places struct {
	file  string // as errors name it
	where map[string]position
}

// set reports whether a key was written anywhere.
func (p places) set(path string) bool {
	_, ok := p.where[path]
	return ok
}

// at returns the place of a key, or that of the nearest key around it.
func (p places) at(path string) position {
	for {
		if at, ok := p.where[path]; ok {
			return at
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return position{}
		}
		path = path[:cut]
	}
}

// Fault returns, with its place, a fault of c that only its user can see: one that
// lies in what it would replace, or in what it is wanted for.
func (c *Config) Fault(key, format string, args ...any) Errors {
	f := &faults{file: c.places.file}
	f.add(c.places.at(key), key, format, args...)
	return f.list
}
