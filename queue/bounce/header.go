package bounce

import (
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/postrider/postrider/internal/mail"
)

// dateFormat is a date as RFC 5322 3.3 writes it.
const dateFormat = "Mon, 2 Jan 2006 15:04:05 -0700"

// writeHeader writes the fields of the report itself.
func (r *Report) writeHeader(w *writer, to mail.Address) {
	w.line("From: Mail Delivery System <" + r.Postmaster.String() + ">")
	w.line("To: <" + to.String() + ">")
	w.line("Subject: " + r.subject())
	w.line("Date: " + r.Time.Format(dateFormat))
	if id := r.MessageID; id != "" {
		w.line("Message-ID: " + id)
	}
	if id, ok := messageID(r.Envelope.MessageID); ok {
		// So that mail programs show the report below the message.
		w.line("In-Reply-To: " + id)
		w.line("References: " + id)
	}
	w.line("Auto-Submitted: auto-replied") // RFC 3834 5
	w.line("MIME-Version: 1.0")
	w.line("Content-Type: multipart/report; report-type=delivery-status;")
	w.line("\tboundary=\"" + r.boundary() + "\"")
	w.line("")
	w.line("This is a report about mail, in the form of RFC 3464.")
}

// boundary is not to be guessed by whoever wrote the original: the ID was made
// after that was sent. It is no secret later, and the same each time.
func (r *Report) boundary() string {
	h := sha256.New()
	_, _ = io.WriteString(h, fmt.Sprint(r.Envelope.ID, r.Kind, r.Time.UnixNano(), r.MessageID))
	return fmt.Sprintf("=_%x", h.Sum(nil)[:16])
}

// subject says what happened and to which address.
func (r *Report) subject() string {
	whom := "to " + shown(r.Recipients[0].Address)
	if n := len(r.Recipients); n > 1 {
		whom = fmt.Sprintf("to %d recipients", n)
	}
	var s string
	switch r.Kind {
	case Delayed:
		s = "Mail " + whom + " is delayed, still trying"
	case Delivered:
		s = "Mail " + whom + " was delivered"
	case Relayed:
		s = "Mail " + whom + " was handed on"
	default:
		s = "Mail " + whom + " could not be delivered"
	}
	// Encoded words are folded; a subject of ASCII is short enough without.
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", s), "?= =?", "?=\r\n =?")
}

// messageID returns s if it may stand in a field of ours: "<", printable ASCII
// without spaces, ">".
func messageID(s string) (string, bool) {
	if len(s) < 3 || len(s) > maxMessageID || s[0] != '<' || s[len(s)-1] != '>' {
		return "", false
	}
	inner := s[1 : len(s)-1]
	for i := 0; i < len(inner); i++ {
		if inner[i] <= ' ' || inner[i] > '~' || strings.IndexByte("<>", inner[i]) >= 0 {
			return "", false
		}
	}
	return s, true
}

// maxMessageID keeps the fields that hold one well below 998 octets.
const maxMessageID = 900
