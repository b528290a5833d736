package submission

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"

	"github.com/postrider/postrider/internal/mail"
)

const (
	longestLine = 998 // octets of a line, without its end (RFC 5322 2.1.1)
	foldLine    = 78  // what it should have at most
)

// appendRewrittenFrom writes a From field with another address. The display name
// stays; value is what the field held, empty if there was none.
func appendRewrittenFrom(b []byte, value []byte, to mail.Address) []byte {
	const name = "From:"
	b = append(b, name...)
	line := len(name)
	for i, word := range append(displayName(string(value), longestLine-len(name)-1), "<"+to.String()+">") {
		if i > 0 && line+1+len(word) > foldLine {
			b = append(b, "\r\n"...)
			line = 0
		}
		b = append(b, ' ')
		b = append(b, word...)
		line += 1 + len(word)
	}
	return append(b, "\r\n"...)
}

// displayName returns the first display name of a From value as a phrase: atoms,
// encoded words and quoted strings (RFC 5322 3.2.5, RFC 2047 5), of at most limit
// octets each. Comments are left out. It is nil if there is no name, or none that can
// be written so.
func displayName(value string, limit int) (phrase []string) {
	element, _, _ := cutElement(unfold.Replace(value))
	name := strings.TrimSpace(element[:max(0, angleAt(element))])
	for name != "" {
		var word string
		word, name = cutWord(name)
		switch {
		case word[0] == '"':
		case strings.ContainsAny(word, `@\`), strings.Contains(word, "=?") && !encodedWord.MatchString(word):
			return nil
		case strings.ContainsAny(word, "()<>[]:;,"), word[0] == '.':
			word = `"` + word + `"` // "[JIRA]" and the like
		}
		if len(word) > limit || strings.ContainsFunc(word, unicode.IsControl) {
			return nil
		}
		phrase = append(phrase, word)
	}
	return phrase
}

// encodedWord is one as it may stand in a phrase (RFC 2047 5 (3)).
var encodedWord = regexp.MustCompile(`^=\?[^?]+\?[BbQq]\?[^?()<>\[\]:;,]*\?=$`)

var unfold = strings.NewReplacer("\r\n", "", "\t", " ")

// cutWord splits off a quoted string, or what stands before the next one or a space.
func cutWord(s string) (word, rest string) {
	i := 1
	if s[0] == '"' {
		for i < len(s) && s[i] != '"' {
			if s[i] == '\\' {
				i++
			}
			i++
		}
		i = min(i+1, len(s))
	} else if i = strings.IndexAny(s, ` "`); i < 0 {
		i = len(s)
	}
	return s[:i], strings.TrimLeft(s[i:], " ")
}

// appendReplyTo writes what was the value of a From field, folding and line end
// included, as Reply-To: a longer name, so that its first line may have to begin anew.
func appendReplyTo(b, value []byte) []byte {
	const name = "Reply-To:"
	b = append(b, name...)
	if first, _, _ := bytes.Cut(value, crlf); len(name)+len(first) > longestLine {
		b = append(b, "\r\n "...)
		value = bytes.TrimLeft(value, " \t")
	}
	return append(b, value...)
}
