package bounce

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"strings"

	"github.com/postrider/postrider/internal/mail"
)

// maxHeader is how much of the original's header is looked at and brought back,
// in octets.
const maxHeader = 64 << 10

// original is the message a report is about, as far as the report brings it
// back.
type original struct {
	content io.ReaderAt // nil if it can't be read
	size    int64
	header  []byte // its header in whole lines, without the empty one
	whole   bool   // all of it comes back
	// left says why it doesn't, where the sender would expect it to.
	left     string
	utf8     bool // forms of RFC 6533
	eightBit bool // the part holds octets above 127
}

// openOriginal reads the header and decides by RET how much comes back. Only
// failures bring back the content (RFC 3461 4.3).
func openOriginal(r *Report, content io.ReaderAt, size int64) (*original, error) {
	o := &original{content: content, size: size, utf8: r.international()}
	if content == nil {
		o.left = "Your message could not be read when this report was made, and is not attached."
		return o, nil
	}
	header := make([]byte, min(size, maxHeader))
	n, err := content.ReadAt(header, 0)
	if err != nil && !(errors.Is(err, io.EOF) && n == len(header)) {
		return nil, err
	}
	o.header = cutHeader(header)
	switch {
	case r.Kind != Failed || r.Envelope.Return == mail.ReturnHeaders:
	case r.Envelope.RequireTLS: // RFC 8689 section 5
		o.left = "Your message was to travel under TLS only and is not returned with this report; its header is attached."
	case size > MaxOriginal:
		o.left = "Your message is too large to be returned with this report; its header is attached."
	case r.Envelope.Body == mail.BodyBinaryMIME:
		// message/rfc822 can't be encoded, and few hosts take binary content.
		o.left = "Your message holds binary data and can't be returned with this report; its header is attached."
	default:
		o.whole = true
	}
	o.eightBit = !mail.IsASCII(string(o.header)) || o.whole && r.Envelope.EightBit
	return o, nil
}

// cutHeader returns the header that b begins with, or as many whole lines of it
// as there are.
func cutHeader(b []byte) []byte {
	if bytes.HasPrefix(b, []byte("\r\n")) {
		return nil
	}
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		return b[:i+2]
	}
	return b[:bytes.LastIndexByte(b, '\n')+1]
}

// partHeader heads the part with the original.
func (o *original) partHeader() []string {
	kind, what := "text/rfc822-headers", "Header of the message"
	switch {
	case o.whole && o.utf8:
		kind, what = "message/global", "The message"
	case o.whole:
		kind, what = "message/rfc822", "The message"
	case o.utf8:
		kind = "message/global-headers"
	}
	encoding := "7bit"
	if o.eightBit {
		encoding = "8bit"
	}
	return []string{
		"Content-Description: " + what,
		"Content-Type: " + kind,
		"Content-Transfer-Encoding: " + encoding,
	}
}

// writeTo writes the part with what comes back.
func (o *original) writeTo(w *writer, boundary string) {
	if o.content == nil {
		return
	}
	w.part(boundary, o.partHeader())
	if !o.whole {
		_, _ = w.Write(o.header)
		return
	}
	n, err := io.Copy(w, io.NewSectionReader(o.content, 0, o.size))
	if err == nil && n != o.size {
		err = io.ErrUnexpectedEOF
	}
	w.fail(err)
}

// field returns the value of the first header field with that name, unfolded,
// decoded (RFC 2047) and clean, or nothing.
func (o *original) field(name string) string {
	var value []string
	for line := range strings.SplitSeq(string(o.header), "\r\n") {
		if len(value) > 0 {
			if !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
				break
			}
			value = append(value, strings.TrimSpace(line))
			continue
		}
		key, rest, found := strings.Cut(line, ":")
		if found && strings.EqualFold(strings.TrimSpace(key), name) {
			value = append(value, strings.TrimSpace(rest))
		}
	}
	text := strings.Join(value, " ")
	if decoded, err := new(mime.WordDecoder).DecodeHeader(text); err == nil {
		text = decoded
	}
	return clean(text, maxWord)
}
