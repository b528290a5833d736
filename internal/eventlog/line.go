package eventlog

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail"
)

// maxText is how much of one text a line holds, in octets. Peers may send more.
const maxText = 2048

// line builds one line of keys and values, as JSON or as text (key=value, quoted
// where it must be).
type line struct {
	b    []byte
	json bool
	any  bool // a key has been written
}

func (l *line) begin() {
	if l.json {
		l.b = append(l.b, '{')
	}
}

func (l *line) end() {
	if l.json {
		l.b = append(l.b, '}')
	}
	l.b = append(l.b, '\n')
}

func (l *line) key(k string) {
	if l.any {
		if l.json {
			l.b = append(l.b, ',')
		} else {
			l.b = append(l.b, ' ')
		}
	}
	l.any = true
	if l.json {
		l.b = appendQuoted(l.b, k)
		l.b = append(l.b, ':')
	} else {
		l.b = append(append(l.b, k...), '=')
	}
}

// text writes a string, always; optional leaves out an empty one.
func (l *line) text(k, v string) {
	l.key(k)
	l.value(v)
}

func (l *line) optional(k, v string) {
	if v != "" {
		l.text(k, v)
	}
}

func (l *line) value(v string) {
	if !l.json && isBare(v) {
		l.b = append(l.b, v...)
		return
	}
	l.b = appendQuoted(l.b, v)
}

// number writes an integer; fraction a number with up to three decimals.
func (l *line) number(k string, v int64) {
	l.key(k)
	l.b = strconv.AppendInt(l.b, v, 10)
}

func (l *line) fraction(k string, v float64) {
	l.key(k)
	l.b = appendFraction(l.b, v)
}

func appendFraction(b []byte, v float64) []byte {
	b = strconv.AppendFloat(b, v, 'f', 3, 64)
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	if b[len(b)-1] == '.' {
		b = b[:len(b)-1]
	}
	return b
}

// time writes a time in RFC 3339 with milliseconds, in UTC.
func (l *line) time(k string, t time.Time) {
	l.key(k)
	if l.json {
		l.b = append(l.b, '"')
	}
	// The library is quick with this layout and slow with one that has milliseconds.
	l.b = t.UTC().AppendFormat(l.b, time.RFC3339)
	ms := t.Nanosecond() / int(time.Millisecond)
	l.b = append(l.b[:len(l.b)-1], '.', '0'+byte(ms/100), '0'+byte(ms/10%10), '0'+byte(ms%10), 'Z')
	if l.json {
		l.b = append(l.b, '"')
	}
}

// addresses writes a list: an array in JSON, joined by commas in text.
func (l *line) addresses(k string, list []mail.Address) {
	l.key(k)
	if !l.json {
		for i, a := range list {
			if i > 0 {
				l.b = append(l.b, ',')
			}
			l.value(a.String())
		}
		return
	}
	l.b = append(l.b, '[')
	for i, a := range list {
		if i > 0 {
			l.b = append(l.b, ',')
		}
		l.value(a.String())
	}
	l.b = append(l.b, ']')
}

// isBare reports whether a text needs no quotes after a "=".
func isBare(s string) bool {
	if s == "" || len(s) > maxText {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\' || c == ',' {
			return false
		}
	}
	return true
}

const hex = "0123456789abcdef"

// appendQuoted writes a JSON string, which serves as a quoted text too. What is
// no UTF-8 becomes U+FFFD, what is too long is cut and ends in an ellipsis.
func appendQuoted(b []byte, s string) []byte {
	cut := len(s) > maxText
	if cut {
		s = s[:maxText]
	}
	b = append(b, '"')
	for i := 0; i < len(s); {
		if n := plain(s[i:]); n > 0 {
			b = append(b, s[i:i+n]...)
			i += n
			continue
		}
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c == '\n':
				b = append(b, '\\', 'n')
			case c == '\r':
				b = append(b, '\\', 'r')
			case c == '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if cut && !utf8.FullRuneInString(s[i:]) {
			break // the cut went through it
		}
		if r == utf8.RuneError && size == 1 || moves(r) {
			b = append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
		} else {
			b = append(b, s[i:i+size]...)
		}
		i += size
	}
	if cut {
		b = append(b, "…"...)
	}
	return append(b, '"')
}

// moves reports whether a terminal or a reader of lines may obey r: a control
// character, or a line or paragraph separator. All of them fit 16 bits.
func moves(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
}

// plain returns how many octets at the beginning of s stand for themselves.
func plain(s string) int {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return i
		}
	}
	return len(s)
}
