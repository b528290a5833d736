package delivery

import (
	"errors"
	"io"
	"mime"
	"strings"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// Bounds on what is taken apart to be converted. A message beyond them can't be
// converted.
const (
	maxDepth    = 16      // entities within entities
	maxSegments = 20000   // pieces of the result
	maxHeader   = 1 << 20 // octets of the header of one entity
)

// conversionError is why content can't be made 7-bit.
type conversionError struct{ reason string }

func (e *conversionError) Error() string { return "no conversion to 7 bit: " + e.reason }

func inconvertible(reason string) error { return &conversionError{reason} }

// to7Bit returns the content with every part that holds 8-bit or binary octets, or
// lines that are too long, encoded, as quoted-printable if it is text and as base64 if
// not (RFC 6152 section 3, RFC 3030 section 3, RFC 2045 section 6). What is 7-bit
// already stays as it is, octet for octet, but for a label that says otherwise. Nothing
// inside multipart/signed is changed, so that no signature of the
// author's breaks (RFC 1847 2.1); a DKIM signature over the old body does break,
// which is why this is done only for hosts that leave no choice.
//
// The content is read three times and never held in memory: once to find what to
// change, once for the new size, once to send it.
func to7Bit(c queue.Content) (*body, error) {
	v := converter{content: c}
	if err := v.entity(0, c.Size(), 0); err != nil {
		return nil, err
	}
	size, err := io.Copy(io.Discard, v.open())
	if err != nil {
		return nil, &contentError{err}
	}
	return &body{size: size, kind: mail.Body7Bit, open: v.open}, nil
}

// converter collects the pieces of the converted content.
type converter struct {
	content  queue.Content
	segments []segment
}

// entity converts the entity in content[from:to]. The depth is 0 for the message
// itself. What holds 7-bit octets only and can't be converted stays as it is: long lines
// or a wrong label are no reason to return a message.
func (v *converter) entity(from, to int64, depth int) error {
	found, err := scan(v.content, from, to)
	if err != nil {
		return err
	}
	before := len(v.segments)
	err = v.apart(from, to, depth)
	if _, ok := errors.AsType[*conversionError](err); ok && !found.eightBit && !found.binary {
		v.segments = v.segments[:before]
		return v.keep(from, to)
	}
	return err
}

// apart converts an entity by what it is.
func (v *converter) apart(from, to int64, depth int) error {
	if depth > maxDepth {
		return inconvertible("parts are nested too deeply")
	}
	h, err := readHeader(v.content, from, to)
	if err != nil {
		return err
	}
	media, params, err := h.contentType(depth == 0)
	if err != nil {
		return err
	}
	switch {
	case media == "multipart/signed":
		return inconvertible("part of it is signed")
	case strings.HasPrefix(media, "multipart/"):
		return v.multipart(h, params["boundary"], to, depth)
	case media == "message/rfc822":
		if err := v.header(h, "7bit"); err != nil {
			return err
		}
		return v.entity(h.end, to, depth+1)
	case strings.HasPrefix(media, "message/global"):
		// Unlike the others it may be (RFC 6532 3.7, RFC 6533 6).
	case strings.HasPrefix(media, "message/"):
		return inconvertible(media + " may not be encoded")
	}
	return v.leaf(h, media, to, depth)
}

// leaf encodes the body of an entity without parts.
func (v *converter) leaf(h *header, media string, to int64, depth int) error {
	switch h.encoding() {
	case "", "7bit", "8bit", "binary":
	default:
		return inconvertible("a part is not what its Content-Transfer-Encoding says")
	}
	found, err := scan(v.content, h.end, to)
	if err != nil {
		return err
	}
	if !found.eightBit && !found.binary && !found.long {
		if err := v.header(h, "7bit"); err != nil {
			return err
		}
		return v.keep(h.end, to)
	}
	if strings.HasPrefix(media, "text/") && !found.binary {
		if err := v.header(h, "quoted-printable"); err != nil {
			return err
		}
		return v.add(segment{from: h.end, to: to, as: quotedPrintable})
	}
	if err := v.header(h, "base64"); err != nil {
		return err
	}
	if err := v.add(segment{from: h.end, to: to, as: base64Lines}); err != nil {
		return err
	}
	if depth == 0 {
		return v.add(segment{literal: "\r\n"})
	}
	return nil // the delimiter behind it begins with CRLF
}

// multipart converts each part on its own, and keeps everything between them.
func (v *converter) multipart(h *header, boundary string, to int64, depth int) error {
	if boundary == "" {
		return inconvertible("a multipart has no boundary")
	}
	if err := v.header(h, "7bit"); err != nil {
		return err
	}
	parts, err := findParts(v.content, h.end, to, boundary)
	if err != nil {
		return err
	}
	at := h.end
	for _, p := range parts {
		if err := v.between(at, p.from); err != nil {
			return err
		}
		if err := v.entity(p.from, p.to, depth+1); err != nil {
			return err
		}
		at = p.to
	}
	return v.between(at, to)
}

// between keeps preamble, delimiters and epilogue of a multipart.
func (v *converter) between(from, to int64) error {
	found, err := scan(v.content, from, to)
	if err != nil {
		return err
	}
	if found.eightBit || found.binary {
		return inconvertible("there are 8-bit octets between its parts")
	}
	return v.keep(from, to)
}

// header keeps the header up to and with its empty line, but for the encoding.
func (v *converter) header(h *header, encoding string) error {
	if h.eightBit {
		return inconvertible("a header holds 8-bit octets")
	}
	if was := h.encoding(); encoding == "7bit" && (was == "" || was == encoding) {
		return v.keep(h.from, h.end)
	}
	at := h.from
	for _, f := range h.fields {
		if !strings.EqualFold(f.name, "Content-Transfer-Encoding") {
			continue
		}
		if err := v.keep(at, f.from); err != nil {
			return err
		}
		at = f.to
	}
	if err := v.keep(at, h.blank); err != nil {
		return err
	}
	lines := "Content-Transfer-Encoding: " + encoding + "\r\n"
	if h.plain {
		// Not a MIME message yet: 8-bit octets in a charset nobody named.
		lines = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n" + lines
	}
	if err := v.add(segment{literal: lines}); err != nil {
		return err
	}
	return v.keep(h.blank, h.end)
}

func (v *converter) keep(from, to int64) error {
	if from == to {
		return nil
	}
	return v.add(segment{from: from, to: to})
}

func (v *converter) add(s segment) error {
	if len(v.segments) >= maxSegments {
		return inconvertible("it has too many parts")
	}
	v.segments = append(v.segments, s)
	return nil
}

// contentType returns the media type in lower case with its parameters. What
// can't be read is taken for octets, which base64 suits in any case, unless readers
// that are more generous may find parts in it, which must never be encoded as one.
func (h *header) contentType(message bool) (string, map[string]string, error) {
	value, ok := h.get("Content-Type")
	if _, version := h.get("MIME-Version"); message && !ok && !version {
		h.plain = true
	}
	if !ok {
		return "text/plain", nil, nil
	}
	media, params, err := mime.ParseMediaType(value)
	if err == nil {
		return media, params, nil
	}
	raw, _, _ := strings.Cut(strings.ToLower(value), ";")
	if strings.Contains(raw, "multipart") || strings.Contains(raw, "message") {
		return "", nil, inconvertible("its Content-Type can't be read")
	}
	return "application/octet-stream", nil, nil
}

func (h *header) encoding() string {
	value, _ := h.get("Content-Transfer-Encoding")
	return strings.ToLower(strings.TrimSpace(value))
}
