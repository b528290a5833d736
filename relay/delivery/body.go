package delivery

import (
	"bytes"
	"errors"
	"io"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// body is content in the form one host gets it.
type body struct {
	size int64 // octets
	kind mail.Body
	// open returns a reader of all octets, from the start.
	open func() io.Reader
}

// asIs is content unchanged.
func asIs(c queue.Content, kind mail.Body) *body {
	size := c.Size()
	return &body{size: size, kind: kind, open: func() io.Reader { return io.NewSectionReader(c, 0, size) }}
}

// Errors of content. They end the session, before the host has seen the end of
// the message.
var (
	// errBareNewline: content holds a CR or LF alone. Submission lets none in; this
	// is the second lock on the door that SMTP smuggling comes through.
	errBareNewline = errors.New("content holds a bare CR or LF")
	errShort       = errors.New("content ends early")
)

// newlines checks that CR and LF occur only together, over all pieces of content
// it is shown.
type newlines struct{ cr bool } // the last octet was CR

func (n *newlines) check(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	pairs := bytes.Count(p, []byte("\r\n"))
	lf, cr := bytes.Count(p, []byte{'\n'}), bytes.Count(p, []byte{'\r'})
	if n.cr {
		if p[0] != '\n' {
			return errBareNewline
		}
		lf--
	}
	n.cr = p[len(p)-1] == '\r'
	if n.cr {
		cr--
	}
	if lf != pairs || cr != pairs {
		return errBareNewline
	}
	return nil
}

func (n *newlines) end() error {
	if n.cr {
		return errBareNewline
	}
	return nil
}

// putCounted sends a body as the octets of one BDAT chunk. What fits stays in the
// buffer together with the command before it.
func (w *wire) putCounted(b *body) error {
	r := b.open()
	var lines newlines
	for left := b.size; left > 0; {
		out := *w.out
		if len(out) == cap(out) {
			if err := w.flush(); err != nil {
				return err
			}
			continue
		}
		n, err := r.Read(out[len(out):min(int64(cap(out)), int64(len(out))+left)])
		if n == 0 && err != nil {
			return readError(err)
		}
		if b.kind != mail.BodyBinaryMIME {
			if err := lines.check(out[len(out) : len(out)+n]); err != nil {
				return err
			}
		}
		*w.out = out[:len(out)+n]
		left -= int64(n)
	}
	if b.kind == mail.BodyBinaryMIME {
		return nil
	}
	return lines.end()
}

// putDotted sends a body as DATA takes it: a dot more in front of each line that
// begins with one, and at the end CRLF, if it was missing, dot, CRLF (RFC 5321
// 4.5.2).
func (w *wire) putDotted(b *body) error {
	in := outPool.Get().(*[]byte)
	defer outPool.Put(in)
	r := b.open()
	var lines newlines
	last := byte('\n') // the beginning is the beginning of a line
	for left := b.size; left > 0; {
		p := (*in)[:min(int64(outSize), left)]
		n, err := r.Read(p)
		if n == 0 && err != nil {
			return readError(err)
		}
		p = p[:n]
		if err := lines.check(p); err != nil {
			return err
		}
		if err := w.putStuffed(p, last); err != nil {
			return err
		}
		last = p[n-1]
		left -= int64(n)
	}
	if err := lines.end(); err != nil {
		return err
	}
	if last != '\n' {
		return w.put("\r\n.\r\n")
	}
	return w.put(".\r\n")
}

var lineDot = []byte("\n.")

// putStuffed puts p, which stands behind the octet last.
func (w *wire) putStuffed(p []byte, last byte) error {
	if last == '\n' && p[0] == '.' {
		if err := w.put("."); err != nil {
			return err
		}
	}
	for {
		i := bytes.Index(p, lineDot)
		if i < 0 {
			return w.putBytes(p)
		}
		if err := w.putBytes(p[:i+2]); err != nil {
			return err
		}
		p = p[i+1:] // again from the dot, which is so sent twice
	}
}

// putBytes is put for octets.
func (w *wire) putBytes(p []byte) error {
	for len(p) > 0 {
		out := *w.out
		n := copy(out[len(out):cap(out)], p)
		*w.out = out[:len(out)+n]
		p = p[n:]
		if len(p) > 0 {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// contentError is content that could not be read, as opposed to a connection that
// could not be written to.
type contentError struct{ cause error }

func (e *contentError) Error() string { return "content: " + e.cause.Error() }
func (e *contentError) Unwrap() error { return e.cause }

func readError(err error) error {
	if err == io.EOF {
		err = errShort
	}
	return &contentError{err}
}
