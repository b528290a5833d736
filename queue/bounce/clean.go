package bounce

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail"
)

// Bounds on what others wrote, in octets.
const (
	maxWord = 320  // an address, a host name
	maxLine = 800  // one field value
	maxText = 2000 // a whole reply
)

// clean makes s fit to stand inside one line of ours: printable characters with
// single spaces between them, valid UTF-8, at most limit octets. Line breaks,
// controls and characters that turn or hide text become spaces; bytes that are
// no UTF-8 become U+FFFD.
func clean(s string, limit int) string {
	var b strings.Builder
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) || !unicode.IsPrint(r) && r != utf8.RuneError {
			space = true
			continue
		}
		if b.Len()+1+utf8.RuneLen(r) > limit-len(ellipsis) {
			b.WriteString(ellipsis)
			break
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
	}
	return b.String()
}

const ellipsis = "..."

// ascii makes s, which is clean, fit for a field that must be US-ASCII.
func ascii(s string) string {
	if mail.IsASCII(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return '?'
		}
		return r
	}, s)
}

// xtext encodes s as RFC 3461 4 does, where it holds anything but printable
// ASCII; otherwise it is returned as it is.
func xtext(s string) string {
	plain := true
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	return string(mail.AppendXtext(nil, s))
}
