package config

import "time"

// Size is a number of octets, written as "25MiB", "10GB" or a plain number.
type Size int64

// Rate is so many of something in a period, written as "1000/hour". The zero
// Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// SizeRate is so many octets in a period, written as "1GiB/day".
type SizeRate struct {
	Size Size
	Per  time.Duration
}

// StringList is a list that may be written as a single string.
type StringList []string

// Secret is a value that is never printed.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "********"
}

// GoString hides the secret.
func (s Secret) GoString() string { return s.String() }

// MarshalText hides the secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
