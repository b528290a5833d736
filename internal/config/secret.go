package config

import (
	"errors"
	"strings"
)

// Secret is a value that is never printed. Convert it to a string where it is
// used, and nowhere else.
type Secret string

const mask = "********"

// parseSecret takes a secret without the line end that a file or a YAML block gives
// it. What Print shows in a secret's place is none.
func parseSecret(s string) (Secret, error) {
	if s = strings.TrimRight(s, "\r\n"); s == mask {
		return "", errors.New("what is shown in a secret's place; expected the secret itself")
	}
	return Secret(s), nil
}

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
