package mail

import (
	"strconv"
	"strings"
)

// AppendXtext appends s as xtext (RFC 3461 4): printable ASCII but for "+" and
// "=" as it is, every other octet as "+HH".
func AppendXtext(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c > ' ' && c <= '~' && c != '+' && c != '=' {
			b = append(b, c)
		} else {
			b = append(b, '+', digits[c>>4], digits[c&15])
		}
	}
	return b
}

// ParseXtext decodes xtext. What it decodes to must be printable ASCII, since it
// ends up in reports; ok is false if it isn't, and for nothing at all.
func ParseXtext(s string) (text string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			if i+2 >= len(s) {
				return "", false
			}
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil || v < ' ' || v > '~' {
				return "", false
			}
			b.WriteByte(byte(v))
			i += 2
		case c <= ' ' || c > '~' || c == '=':
			return "", false
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), s != ""
}
