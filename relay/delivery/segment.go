package delivery

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
)

// form is how a segment's octets appear in the result.
type form uint8

const (
	unchanged form = iota
	quotedPrintable
	base64Lines
)

// segment is a piece of converted content: a literal, or a range of the original
// in some form.
type segment struct {
	literal  string
	from, to int64
	as       form
}

// open returns a reader of the converted content.
func (v *converter) open() io.Reader {
	readers := make([]io.Reader, len(v.segments))
	for i, s := range v.segments {
		readers[i] = v.reader(s)
	}
	return io.MultiReader(readers...)
}

func (v *converter) reader(s segment) io.Reader {
	if s.literal != "" {
		return strings.NewReader(s.literal)
	}
	original := io.NewSectionReader(v.content, s.from, s.to-s.from)
	switch s.as {
	case quotedPrintable:
		e := &encoder{from: original}
		e.to = quotedprintable.NewWriter(&e.done)
		return e
	case base64Lines:
		e := &encoder{from: original}
		e.to = base64.NewEncoder(base64.StdEncoding, &wrapper{to: &e.done})
		return e
	}
	return original
}

// encoder is a reader of what a writer makes of another reader.
type encoder struct {
	from io.Reader
	to   io.WriteCloser // writes into done
	done bytes.Buffer
	err  error
	in   [4096]byte
}

// Read implements io.Reader.
func (e *encoder) Read(p []byte) (int, error) {
	for e.done.Len() == 0 {
		if e.err != nil {
			return 0, e.err
		}
		e.done.Reset()
		n, err := e.from.Read(e.in[:])
		e.to.Write(e.in[:n]) // into memory: can't fail
		if err != nil {
			e.err = err
			e.to.Close()
		}
	}
	return e.done.Read(p)
}

// wrapper breaks what is written to it into lines of 76 (RFC 2045 6.8), with no
// line end behind the last one.
type wrapper struct {
	to     *bytes.Buffer
	column int
}

const base64Line = 76

// Write implements io.Writer.
func (w *wrapper) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if w.column == base64Line {
			w.to.WriteString("\r\n")
			w.column = 0
		}
		k := min(base64Line-w.column, len(p))
		w.to.Write(p[:k])
		w.column += k
		p = p[k:]
	}
	return n, nil
}
