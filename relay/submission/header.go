package submission

import (
	"bytes"
	"sync"
)

// header collects the header section of a message as it comes, and finds its
// fields. Only the header is kept, never the body.
type header struct {
	buf    []byte // the header, and what came with its end
	at     int    // buf[:at] has been looked at
	fields []field
	done   bool
	body   int // where the body begins in buf; valid when done
	// separated says that an empty line stands between header and body; it is
	// part of neither.
	separated bool
}

// field is one header field: buf[start:end], with its line ends.
type field struct {
	start, colon, end int
}

var headers = sync.Pool{New: func() any { return new(header) }}

func newHeader() *header {
	h := headers.Get().(*header)
	*h = header{buf: h.buf[:0], fields: h.fields[:0]}
	return h
}

// pooledHeader is the most a header buffer may have grown to be used again.
const pooledHeader = 128 << 10

func (h *header) release() {
	if cap(h.buf) <= pooledHeader {
		headers.Put(h)
	}
}

// write adds more of the message and looks at its lines.
func (h *header) write(p []byte) {
	h.buf = append(h.buf, p...)
	for !h.done {
		rest := h.buf[h.at:]
		end := bytes.Index(rest, crlf)
		if end < 0 {
			rest = bytes.TrimSuffix(rest, crlf[:1]) // no part of the line: LF is still to come
			if lineKind(rest, len(h.fields) > 0) == lineBody && !h.mailbox(rest) {
				h.finish(h.at, false)
			}
			return
		}
		h.line(rest[:end], h.at+end+2)
	}
}

// line takes one whole line, which ends before next.
func (h *header) line(line []byte, next int) {
	switch kind := lineKind(line, len(h.fields) > 0); {
	case len(line) == 0:
		h.finish(next, true)
	case kind == lineContinues:
		h.fields[len(h.fields)-1].end = next
	case kind == lineField:
		h.fields = append(h.fields, field{h.at, h.at + bytes.IndexByte(line, ':'), next})
	case h.mailbox(line):
		// It goes if fields follow, and is the body's else.
	default:
		// Some clients leave out the empty line, or the whole header.
		h.finish(h.at, false)
	}
	h.at = next
}

// cut reports whether the header has a last line without an end.
func (h *header) cut() bool { return h.at < len(h.buf) }

// end says that the message has no more. All its lines have their ends.
func (h *header) end() {
	if !h.done {
		h.finish(len(h.buf), false)
	}
}

func (h *header) finish(body int, separated bool) {
	if len(h.fields) == 0 && body > len(crlf) {
		body, separated = 0, false // behind what looked like a line of an mbox there was no header
	}
	h.done, h.body, h.separated = true, body, separated
}

// mailbox reports whether line, which is no line of a header, is the one that
// separates messages in an mbox. Old mailers and scripts send it on top.
func (h *header) mailbox(line []byte) bool {
	return h.at == 0 && len(line) <= maxMailbox &&
		bytes.HasPrefix(bytes.TrimPrefix(line, []byte(">")), []byte("From "))
}

// maxMailbox is how long such a line may be, in octets: what is longer is text.
const maxMailbox = 998

// Kinds of lines in a header.
const (
	lineUndecided = iota // could become any, when the rest of it is there
	lineField
	lineContinues
	lineBody // no line of a header
)

// lineKind tells what a line, or the beginning of one, is (RFC 5322 2.2). White
// space before the colon is obsolete and still seen (4.5).
func lineKind(line []byte, after bool) int {
	if len(line) == 0 {
		return lineUndecided
	}
	if line[0] == ' ' || line[0] == '\t' {
		if after {
			return lineContinues
		}
		return lineBody
	}
	for i, c := range line {
		switch {
		case c == ':':
			if i == 0 {
				return lineBody
			}
			return lineField
		case c == ' ' || c == '\t':
			rest := bytes.TrimLeft(line[i:], " \t")
			switch {
			case len(rest) == 0:
				return lineUndecided
			case rest[0] == ':':
				return lineField
			}
			return lineBody
		case c <= ' ' || c >= 0x7f:
			return lineBody
		}
	}
	return lineUndecided
}

// is reports whether f is called name, in whatever case.
func (h *header) is(f field, name string) bool {
	n := h.buf[f.start:f.colon]
	if len(n) > len(name) {
		n = bytes.TrimRight(n, " \t")
	}
	return len(n) == len(name) && bytes.EqualFold(n, []byte(name))
}

// value returns what stands behind the colon, with its line ends.
func (h *header) value(f field) []byte { return h.buf[f.colon+1 : f.end] }
