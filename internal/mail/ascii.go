package mail

import "unicode/utf8"

// IsASCII reports whether every octet of s is US-ASCII.
func IsASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
