package bounce

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/postrider/postrider/internal/mail"
)

// statusHeader heads the machine-readable part (RFC 3464 2.1, RFC 6533 4).
func statusHeader(r *Report) []string {
	if !r.international() {
		return []string{
			"Content-Description: Delivery report",
			"Content-Type: message/delivery-status",
		}
	}
	return []string{
		"Content-Description: Delivery report",
		"Content-Type: message/global-delivery-status",
		"Content-Transfer-Encoding: 8bit",
	}
}

// writeStatus writes the machine-readable part: fields about the message, then
// a group of fields for each recipient.
func (r *Report) writeStatus(w *writer) {
	f := fields{w: w, utf8: r.international()}
	f.add("Reporting-MTA", "dns; "+r.ReportingMTA)
	if id := r.Envelope.EnvelopeID; id != "" {
		f.add("Original-Envelope-Id", xtext(id))
	}
	f.add("Arrival-Date", r.Envelope.Arrival.In(r.Time.Location()).Format(dateFormat))
	if !r.Envelope.ID.IsZero() {
		f.add("X-Postrider-Queue-Id", r.Envelope.ID.String())
	}
	for i := range r.Recipients {
		w.line("")
		r.writeRecipient(f, &r.Recipients[i])
	}
}

func (r *Report) writeRecipient(f fields, rcpt *Recipient) {
	if rcpt.Original != "" {
		f.add("Original-Recipient", addressType(rcpt.OriginalType, rcpt.Original)+"; "+f.address(rcpt.Original))
	}
	final := rcpt.Address.String()
	if !mail.IsASCII(final) {
		final = inUnicode(rcpt.Address)
	}
	f.add("Final-Recipient", addressType("", final)+"; "+f.address(final))
	f.add("Action", r.Kind.String())
	f.add("Status", rcpt.status(r.Kind).String())
	if rcpt.Host != "" {
		f.add("Remote-MTA", "dns; "+mtaName(rcpt.Host))
	}
	f.add("Diagnostic-Code", diagnostic(rcpt))
	if !rcpt.LastAttempt.IsZero() {
		f.add("Last-Attempt-Date", rcpt.LastAttempt.In(r.Time.Location()).Format(dateFormat))
	}
	if r.Kind == Delayed && !rcpt.RetryUntil.IsZero() {
		f.add("Will-Retry-Until", rcpt.RetryUntil.In(r.Time.Location()).Format(dateFormat))
	}
}

// mtaName is host as a field names it: an address as a literal (RFC 5321 4.1.3).
func mtaName(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return mail.LiteralDomain(addr).String()
	}
	return host
}

// diagnostic is what a peer answered, or in our own words what went wrong when
// none did (RFC 3464 2.3.6).
func diagnostic(rcpt *Recipient) string {
	switch {
	case rcpt.Reply.Code != 0 && rcpt.Host != "":
		return "smtp; " + oneLine(rcpt.Reply)
	case rcpt.Reply.Code != 0:
		return "x-postrider; " + oneLine(rcpt.Reply)
	case rcpt.Reason != "":
		return "x-postrider; " + rcpt.Reason
	}
	return ""
}

// oneLine writes a reply as RFC 3464 wants it in one field. The lines of the
// text are joined with spaces.
func oneLine(r mail.Reply) string {
	s := fmt.Sprintf("%03d", r.Code)
	if code := r.Enhanced.String(); code != "" {
		s += " " + code
	}
	return s + " " + r.Text
}

// addressType is the first word of a recipient field: what ORCPT said, else
// "utf-8" for an address that is no ASCII (RFC 6533 3), else "rfc822".
func addressType(given, address string) string {
	switch {
	case !mail.IsASCII(address):
		return "utf-8"
	case given == "" || !isToken(given):
		return "rfc822"
	}
	return given
}

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || strings.IndexByte(`()<>@,;:\"/[]?=`, s[i]) >= 0 {
			return false
		}
	}
	return true
}

// fields writes the fields of the machine-readable part.
type fields struct {
	w    *writer
	utf8 bool // message/global-delivery-status
}

// add writes a field, folded at spaces so that its lines stay below 78 octets
// where they can. An empty value writes nothing.
func (f fields) add(name, value string) {
	value = clean(value, maxLine)
	if value == "" {
		return
	}
	if !f.utf8 {
		value = ascii(value)
	}
	const width = 76
	line := name + ":"
	for word := range strings.SplitSeq(value, " ") {
		if len(line)+1+len(word) > width && line != name+":" {
			f.w.line(line)
			line = ""
		}
		line += " " + word
	}
	f.w.line(line)
}

// address writes an address for a recipient field. Where the part is ASCII an
// internationalized one is encoded (utf-8-addr-xtext, RFC 6533 3).
func (f fields) address(s string) string {
	if f.utf8 || mail.IsASCII(s) {
		return xtextControls(s)
	}
	var b strings.Builder
	for _, r := range s {
		if r > ' ' && r <= '~' && !strings.ContainsRune(`+=\`, r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\x{%X}`, r)
		}
	}
	return b.String()
}

// xtextControls encodes the octets of s that may not stand in a field.
func xtextControls(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0 {
		return s
	}
	return xtext(s)
}
