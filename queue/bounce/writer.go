package bounce

import (
	"bufio"
	"io"
	"slices"
	"unicode/utf8"
)

// writer writes lines and remembers what the envelope has to say about them. The
// first error sticks and shows at flush.
type writer struct {
	buf      *bufio.Writer
	size     int64 // octets so far
	eightBit bool  // some were above 127
	err      error // of what was to be written, see fail
}

func newWriter(w io.Writer) *writer {
	return &writer{buf: bufio.NewWriterSize(w, 16<<10)}
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	n, err := w.buf.Write(p)
	w.size += int64(n)
	if !w.eightBit {
		w.eightBit = slices.ContainsFunc(p[:n], func(c byte) bool { return c >= utf8.RuneSelf })
	}
	return n, err
}

// line writes s, which holds no line break, and ends the line.
func (w *writer) line(s string) {
	_, _ = io.WriteString(w, s+"\r\n") // the error sticks in buf
}

// part begins a part of the multipart/report.
func (w *writer) part(boundary string, header []string) {
	w.line("")
	w.line("--" + boundary)
	for _, field := range header {
		w.line(field)
	}
	w.line("")
}

// fail notes that what was to be written could not be read.
func (w *writer) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *writer) flush() error {
	if err := w.buf.Flush(); err != nil {
		return err
	}
	return w.err
}
