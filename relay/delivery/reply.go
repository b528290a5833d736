package delivery

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail"
)

// Bounds on one reply. RFC 5321 4.5.3.1.5 allows lines of 512 octets; servers in
// the wild exceed that by a little, not by this much.
const (
	maxReplyLine  = 4096     // octets, with the line end
	maxReplyLines = 128      // lines
	maxReplySize  = 32 << 10 // octets in all lines
	maxReplyText  = 2048     // octets that are kept of the text
)

// Faults of a reply. After one of them the two sides no longer agree on where a
// reply begins, so the connection is of no further use.
var (
	errReplyLine    = errors.New("reply line too long")
	errReplySize    = errors.New("reply too long")
	errReplyGarbage = errors.New("answer is not an SMTP reply")
)

// replyParser puts one reply together from its lines (RFC 5321 4.2.1).
type replyParser struct {
	code     int
	enhanced mail.EnhancedCode
	text     string          // of a single line, the usual case
	more     strings.Builder // of several
	lines    int
	size     int
}

// line takes the next line, without its line end. last says that the reply is
// complete.
func (p *replyParser) line(b []byte) (last bool, err error) {
	p.lines++
	p.size += len(b)
	if p.lines > maxReplyLines || p.size > maxReplySize {
		return false, errReplySize
	}
	code, rest, last, err := splitReplyLine(b)
	if err != nil {
		return false, err
	}
	if p.lines > 1 && code != p.code {
		return false, errReplyGarbage
	}
	p.code = code
	enhanced, rest := cutEnhanced(code, rest)
	if p.lines == 1 {
		p.enhanced = enhanced
	}
	p.keep(rest, last)
	return last, nil
}

func (p *replyParser) keep(b []byte, last bool) {
	if p.lines == 1 && last {
		p.text = clean(b[:min(len(b), maxReplyText)])
		return
	}
	if p.lines > 1 && p.more.Len() < maxReplyText {
		p.more.WriteByte('\n')
	}
	p.more.WriteString(clean(b[:min(len(b), max(0, maxReplyText-p.more.Len()))]))
}

func (p *replyParser) reply() mail.Reply {
	r := mail.Reply{Code: p.code, Enhanced: p.enhanced, Text: p.text}
	if p.lines > 1 {
		r.Text = p.more.String()
	}
	return r
}

// splitReplyLine takes "250-text" apart. A code with nothing behind it counts
// as a last line.
func splitReplyLine(b []byte) (code int, text []byte, last bool, err error) {
	if len(b) < 3 {
		return 0, nil, false, errReplyGarbage
	}
	for _, c := range b[:3] {
		if c < '0' || c > '9' {
			return 0, nil, false, errReplyGarbage
		}
		code = code*10 + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, nil, false, errReplyGarbage
	}
	if len(b) == 3 {
		return code, nil, true, nil
	}
	switch b[3] {
	case ' ':
		return code, b[4:], true, nil
	case '-':
		return code, b[4:], false, nil
	}
	return 0, nil, false, errReplyGarbage
}

// cutEnhanced takes the enhanced code (RFC 2034) off the front of a line's text.
// One that contradicts the basic code stays in the text: the basic code rules.
func cutEnhanced(code int, b []byte) (mail.EnhancedCode, []byte) {
	token, rest, _ := bytes.Cut(b, []byte{' '})
	if len(token) < 5 || len(token) > 9 || int(token[0]-'0') != code/100 || token[1] != '.' {
		return mail.EnhancedCode{}, b
	}
	subject, detail, ok := bytes.Cut(token[2:], []byte{'.'})
	s, ok1 := smallNumber(subject)
	d, ok2 := smallNumber(detail)
	if !ok || !ok1 || !ok2 {
		return mail.EnhancedCode{}, b
	}
	return mail.EnhancedCode{code / 100, s, d}, rest
}

// smallNumber reads one to three digits.
func smallNumber(b []byte) (n int, ok bool) {
	if len(b) == 0 || len(b) > 3 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// clean makes text of a peer fit for logs and reports: no control characters, no
// broken UTF-8.
func clean(b []byte) string {
	for _, c := range b {
		if c < ' ' || c >= utf8.RuneSelf || c == 0x7f {
			return strings.Map(func(r rune) rune {
				if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
					return ' '
				}
				return r
			}, strings.ToValidUTF8(string(b), "?"))
		}
	}
	return string(b)
}
