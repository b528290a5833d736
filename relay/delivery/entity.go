package delivery

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"github.com/postrider/postrider/queue"
)

// header is that of one entity of a message, by the places of its fields in the
// content.
type header struct {
	from   int64 // of the first field
	blank  int64 // of the empty line
	end    int64 // behind the empty line: where the body begins
	fields []field
	// eightBit: some octet is above 127.
	eightBit bool
	// plain: the message says nothing of MIME.
	plain bool
}

type field struct {
	name     string
	value    string // unfolded
	from, to int64  // with the line end
}

func (h *header) get(name string) (string, bool) {
	for _, f := range h.fields {
		if strings.EqualFold(f.name, name) {
			return f.value, true
		}
	}
	return "", false
}

// readHeader reads the header of the entity in content[from:to].
func readHeader(c queue.Content, from, to int64) (*header, error) {
	h := &header{from: from}
	r := bufio.NewReader(io.NewSectionReader(c, from, min(to-from, maxHeader)))
	var value []byte // of the last field
	for at := from; ; {
		line, err := r.ReadString('\n')
		if err != nil && err != io.EOF {
			return nil, &contentError{err}
		}
		if err == io.EOF && at+int64(len(line)) < to {
			return nil, inconvertible("a header is too large")
		}
		next := at + int64(len(line))
		text := strings.TrimRight(line, "\r\n")
		if text == "" {
			h.blank, h.end = at, next
			h.finish(value)
			return h, nil
		}
		value = h.add(value, text, at, next)
		at = next
	}
}

// add takes a line. It returns the value of the last field, as far as it was read.
func (h *header) add(value []byte, text string, from, to int64) []byte {
	for i := range len(text) {
		h.eightBit = h.eightBit || text[i] >= 0x80
	}
	if (text[0] == ' ' || text[0] == '\t') && len(h.fields) > 0 {
		h.fields[len(h.fields)-1].to = to
		return append(value, text...)
	}
	h.finish(value)
	name, rest, _ := strings.Cut(text, ":")
	h.fields = append(h.fields, field{name: strings.TrimRight(name, " \t"), from: from, to: to})
	return append(value[:0], strings.TrimSpace(rest)...)
}

// finish gives the last field its value.
func (h *header) finish(value []byte) {
	if len(h.fields) > 0 {
		h.fields[len(h.fields)-1].value = string(value)
	}
}

// octets says what a range of content holds that not every host takes.
type octets struct {
	eightBit bool // octets above 127
	binary   bool // NUL, or CR or LF alone
	long     bool // lines of more than maxText octets
	column   int  // octets since the last LF
}

// maxText is the longest line, without its end, that every host takes (RFC 5321
// 4.5.3.1.6).
const maxText = 998

// measure looks at the lengths of lines; p goes on where the last one ended.
func (o *octets) measure(p []byte) {
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			o.column += len(p)
			return
		}
		o.long = o.long || o.column+i > maxText+1 // with CR
		o.column, p = 0, p[i+1:]
	}
}

// scan looks at every octet of content[from:to].
func scan(c queue.Content, from, to int64) (octets, error) {
	var found octets
	var lines newlines
	buffer := outPool.Get().(*[]byte)
	defer outPool.Put(buffer)
	for at := from; at < to; {
		p := (*buffer)[:min(int64(outSize), to-at)]
		n, err := c.ReadAt(p, at)
		if n == 0 {
			return found, readError(err)
		}
		p = p[:n]
		for _, b := range p {
			if b >= 0x80 {
				found.eightBit = true
				break
			}
		}
		if bytes.IndexByte(p, 0) >= 0 || lines.check(p) != nil {
			found.binary = true
		}
		found.measure(p)
		at += int64(n)
	}
	found.binary = found.binary || lines.end() != nil
	found.long = found.long || found.column > maxText
	return found, nil
}

// extent is where one part of a multipart lies.
type extent struct{ from, to int64 }

// findParts returns the parts of the multipart body in content[from:to] (RFC 2046
// 5.1.1). The CRLF in front of a delimiter belongs to the delimiter. Without a
// closing delimiter the last part goes to the end.
func findParts(c queue.Content, from, to int64, boundary string) ([]extent, error) {
	var parts []extent
	delimiter := []byte("--" + boundary)
	r := bufio.NewReader(io.NewSectionReader(c, from, to-from))
	begun, lineStart, end, cr := int64(-1), true, int64(0), false
	for at := from; ; {
		line, err := r.ReadSlice('\n')
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			return nil, &contentError{err}
		}
		if lineStart && bytes.HasPrefix(line, delimiter) {
			rest := bytes.TrimRight(line[len(delimiter):], " \t\r\n")
			closing := bytes.Equal(rest, []byte("--"))
			if len(rest) == 0 || closing {
				if begun >= 0 {
					parts = append(parts, extent{begun, max(begun, end)})
				}
				begun = at + int64(len(line))
				if closing {
					return parts, nil
				}
			}
			if len(parts) > maxSegments {
				return nil, inconvertible("it has too many parts")
			}
		}
		at += int64(len(line))
		lineStart, end = err == nil, at-1
		if bytes.HasSuffix(line, []byte("\r\n")) || cr && len(line) == 1 {
			end--
		}
		cr = bytes.HasSuffix(line, []byte("\r")) // the buffer may end before LF
		if err == io.EOF {
			if begun >= 0 {
				parts = append(parts, extent{begun, to})
			}
			return parts, nil
		}
	}
}
