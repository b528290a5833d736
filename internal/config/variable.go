package config

import (
	"strconv"
	"strings"
)

// Spellings of a key's path: "routes[].password_file" is
// "routes_#_password_file" in one, "routes__#__password_file" in the other.
var (
	oneUnderscore  = strings.NewReplacer("[].", "_#_", ".", "_")
	twoUnderscores = strings.NewReplacer("[].", "__#__", ".", "__")
)

// misspelt notes that o sets nothing, if it is clear what it was meant to set.
func (o override) misspelt(f *faults, key string) bool {
	name := variableMeant(o)
	if name != "" {
		f.add(position{variable: o.variable}, key, "unknown key; levels are set off by two underscores: %s", name)
	}
	return name != ""
}

// variableMeant returns the variable that was most likely meant by one in which
// some level is set off by a single "_" and not by two, or nothing.
func variableMeant(o override) string {
	words := strings.Split(strings.Join(o.path, "_"), "_")
	var places []string
	for i, word := range words {
		if _, err := strconv.Atoi(word); err == nil {
			places, words[i] = append(places, word), "#"
		}
	}
	written := strings.Join(words, "_")
	for key := range describe {
		if oneUnderscore.Replace(key) != written {
			continue
		}
		name := strings.ToUpper(twoUnderscores.Replace(key))
		for _, place := range places {
			name = strings.Replace(name, "#", place, 1)
		}
		return EnvPrefix + name
	}
	return ""
}
