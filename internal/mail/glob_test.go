package mail

import (
	"strings"
	"testing"
)

func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{{"*", ""}, {"a*b*c", "axxbyyc"}, {"*a*a*a*a*b", strings.Repeat("a", 60)}, {"news-*", "news-7"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 40 || len(s) > 200 || strings.Count(pattern, "*") > 4 {
			return // the other way takes exponential time
		}
		if got, want := NewGlob(pattern).Match(s), slowGlob(pattern, s); got != want {
			t.Errorf("NewGlob(%q).Match(%q) = %t", pattern, s, got)
		}
	})
}

// slowGlob is what Glob.Match means, without its speed.
func slowGlob(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		for i := range len(s) + 1 {
			if slowGlob(pattern[1:], s[i:]) {
				return true
			}
		}
		return false
	}
	return s != "" && s[0] == pattern[0] && slowGlob(pattern[1:], s[1:])
}
