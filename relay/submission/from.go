package submission

import (
	"io"
	"mime"
	"strings"

	"github.com/postrider/postrider/internal/mail"
)

// maxFrom is how many authors of a message are looked at. What stands behind
// them counts as one that is no address.
const maxFrom = 100

// appendFrom adds the addresses of a From value (RFC 5322 3.4, 4.4): display
// names, comments, groups and obsolete routes are skipped. An element that holds
// no address is added with what it holds as local part and no domain, so that no
// sender pattern fits it: what can't be read is not allowed by accident.
//
// An address where a name belongs, as in "a@b.example <c@d.example>", is no name by
// the grammar, and programs differ in which of the two they take for the author:
// both are added. In quotes it is a name, whatever it looks like, unless something
// that no name may hold stands beside it: there some programs stop, and take what
// they have for the author.
func appendFrom(list []mail.Address, value string) []mail.Address {
	for value != "" {
		if len(list) >= maxFrom {
			return append(list, mail.Address{Local: "too many"})
		}
		var element string
		var more bool
		element, value, more = cutElement(value)
		list = appendUnquoted(list, element)
		if spec, ok := addrSpec(element); ok {
			list = append(list, parseSpec(spec))
		} else if !more && value == "" {
			break
		}
	}
	return list
}

// parseSpec reads an addr-spec in which white space may stand around "@" and
// the dots.
func parseSpec(spec string) mail.Address {
	a, err := mail.ParseAddress(squeeze(spec))
	if err != nil || a.Domain.IsZero() {
		return mail.Address{Local: spec}
	}
	return a
}

// cutElement splits off what stands before the next comma, or the colon or
// semicolon of a group, outside of quotes, comments, angle brackets and
// literals. Comments are left out.
func cutElement(s string) (element, rest string, more bool) {
	var b strings.Builder
	var quoted, angle, literal bool
	comment := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && (quoted || comment > 0) && i+1 < len(s) {
			if comment == 0 {
				b.WriteString(s[i : i+2])
			}
			i++
			continue
		}
		switch {
		case comment > 0:
			switch c {
			case '(':
				comment++
			case ')':
				comment--
			}
			continue
		case quoted:
			quoted = c != '"'
		case c == '"':
			quoted = true
		case c == '(':
			comment = 1
			b.WriteByte(' ')
			continue
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == '[':
			literal = true
		case c == ']':
			literal = false
		case angle || literal:
		case c == ':' && !strings.Contains(decoded(b.String()), "@"): // a group's name
			b.Reset()
			continue
		case c == ':':
			return b.String(), s[i+1:], true
		case c == ',' || c == ';':
			return b.String(), s[i+1:], true
		}
		b.WriteByte(c)
	}
	return b.String(), "", false
}

// addrSpec returns the address in an element: what stands in angle brackets, or
// all of it; false if it is empty.
func addrSpec(element string) (string, bool) {
	element = strings.TrimSpace(element)
	if start := angleAt(element); start >= 0 {
		spec := element[start+1:]
		if end := strings.LastIndexByte(spec, '>'); end >= 0 {
			if strings.TrimSpace(spec[end+1:]) != "" || strings.Contains(spec[:end], "<") {
				return element, true // "<a@b> c" and the like: no address at all
			}
			spec = spec[:end]
		}
		spec = strings.TrimSpace(spec)
		if strings.HasPrefix(spec, "@") { // an obsolete route
			if _, after, ok := strings.Cut(spec, ":"); ok {
				spec = after
			}
		}
		return spec, true
	}
	return element, element != ""
}

// appendUnquoted adds the address in front of the angle brackets of an element, if
// there is one. Beside another, or something that no name may hold, it is none that
// could be allowed.
func appendUnquoted(list []mail.Address, element string) []mail.Address {
	name := element[:max(0, angleAt(element))]
	outside := unquoted(name)
	stray := strings.ContainsAny(outside, `[]()<>\`)
	switch at := strings.Contains(outside, "@"); {
	case !at && !(stray && strings.Contains(decoded(name), "@")):
		return list
	case !at || stray || strings.Count(decoded(name), "@") > 1:
		return append(list, mail.Address{Local: name})
	}
	for word := range strings.FieldsSeq(outside) {
		if strings.Contains(word, "@") {
			list = append(list, parseSpec(word))
		}
	}
	return list
}

// decoded returns a display name as programs show it (RFC 2047). Characters other
// than those of ASCII need not come out right.
func decoded(name string) string {
	words := mime.WordDecoder{CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil }}
	text, err := words.DecodeHeader(name)
	if err != nil {
		return name
	}
	return text
}

// unquoted leaves out what is in quotes.
func unquoted(s string) string {
	if !strings.Contains(s, `"`) {
		return s
	}
	var b strings.Builder
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
			b.WriteByte(' ')
		case !quoted:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// angleAt returns where the first "<" outside of quotes is; -1 if nowhere.
func angleAt(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if quoted {
				i++
			}
		case '"':
			quoted = !quoted
		case '<':
			if !quoted {
				return i
			}
		}
	}
	return -1
}

// squeeze removes white space outside of quotes where the obsolete syntax
// allows it: around dots and "@".
func squeeze(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	var b strings.Builder
	quoted := false
	pending := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		white := c == ' ' || c == '\t' || c == '\r' || c == '\n'
		if white && !quoted {
			pending = b.Len() > 0
			continue
		}
		if pending {
			joins := c == '.' || c == '@' || strings.HasSuffix(b.String(), ".") || strings.HasSuffix(b.String(), "@")
			if !joins {
				b.WriteByte(' ') // two words are no address
			}
			pending = false
		}
		if c == '"' {
			quoted = !quoted
		}
		b.WriteByte(c)
		if c == '\\' && quoted && i+1 < len(s) {
			i++
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
