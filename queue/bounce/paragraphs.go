package bounce

import (
	"strings"
	"unicode/utf8"
)

// paragraphs is plain text in lines of at most textWidth characters, where the
// words allow it, with an empty line after each paragraph.
type paragraphs struct {
	b strings.Builder
}

// String returns the text, which ends with its last line.
func (t *paragraphs) String() string { return strings.TrimSuffix(t.b.String(), "\n") }

// wrap adds a paragraph.
func (t *paragraphs) wrap(indent, text string) {
	t.fill(indent, text)
	t.end()
}

// fill adds text as lines of whole words.
func (t *paragraphs) fill(indent, text string) {
	width := 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case width == 0:
			t.b.WriteString(indent)
			width = len(indent)
		case width+1+n > textWidth:
			t.b.WriteString("\n" + indent)
			width = len(indent)
		default:
			t.b.WriteByte(' ')
			width++
		}
		t.b.WriteString(word)
		width += n
	}
	if width > 0 {
		t.b.WriteByte('\n')
	}
}

// line adds one line as it is.
func (t *paragraphs) line(indent, text string) {
	t.b.WriteString(indent + text + "\n")
}

// end ends a paragraph.
func (t *paragraphs) end() { t.b.WriteByte('\n') }

// quote adds what somebody else said, line by line, cleaned and bounded.
func (t *paragraphs) quote(before, said string) {
	const indent = "      "
	before = strings.TrimSpace(before)
	lines := strings.SplitN(said, "\n", maxReplyLines+1)
	if len(lines) > maxReplyLines {
		lines[maxReplyLines] = ellipsis
	}
	budget := maxText
	for i, text := range lines {
		text = clean(text, max(budget, len(ellipsis)))
		budget -= len(text)
		if i == 0 && before != "" {
			text = before + " " + text
		}
		t.fill(indent, text)
		if budget <= 0 {
			break
		}
	}
	t.end()
}
