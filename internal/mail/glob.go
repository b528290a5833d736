package mail

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Glob is a text in which "*" stands for any octets or none. The zero Glob
// matches nothing.
type Glob struct {
	parts []string // between the stars; one part means that there is no star
}

// NewGlob reads a text with stars. There is no way to write a star that stands
// for itself.
func NewGlob(s string) Glob { return Glob{strings.Split(s, "*")} }

// any reports whether g is a star alone.
func (g Glob) any() bool { return len(g.parts) == 2 && g.parts[0] == "" && g.parts[1] == "" }

// Match reports whether s is such a text, octet for octet.
func (g Glob) Match(s string) bool { return g.match(s, strings.HasPrefix) }

// match takes the parts in turn: the first at the beginning, the last at the
// end, those between wherever they come first. It never goes back, so the time is
// bounded by the product of both lengths. prefix says whether a text begins with
// a part.
func (g Glob) match(s string, prefix func(s, part string) bool) bool {
	if len(g.parts) == 0 {
		return false
	}
	first, last := g.parts[0], g.parts[len(g.parts)-1]
	if len(g.parts) == 1 {
		return len(s) == len(first) && prefix(s, first)
	}
	if len(s) < len(first)+len(last) || !prefix(s, first) || !prefix(s[len(s)-len(last):], last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range g.parts[1 : len(g.parts)-1] {
		for !prefix(s, part) {
			if s == "" {
				return false
			}
			s = s[1:]
		}
		s = s[len(part):]
	}
	return true
}

// hasFoldedPrefix reports whether s, in any ASCII case, begins with prefix,
// which is folded.
func hasFoldedPrefix(s, prefix string) bool {
	if len(s) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// fold makes local parts comparable: one normal form, lower case. What would
// become plain ASCII by that (the Kelvin sign, the long s) stays as it is, so
// that no look-alike passes for an ASCII address.
func fold(s string) string {
	folded := strings.Map(unicode.ToLower, norm.NFC.String(s))
	if IsASCII(folded) && !IsASCII(s) {
		return s
	}
	return folded
}

// foldUTF8 folds s unless it is ASCII, which hasFoldedPrefix compares without a
// copy.
func foldUTF8(s string) string {
	if IsASCII(s) {
		return s
	}
	return fold(s)
}
