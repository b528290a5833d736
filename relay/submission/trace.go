package submission

import (
	"crypto/tls"
	"net/netip"

	"github.com/postrider/postrider/internal/mail"
)

// dateLayout is the date-time of RFC 5322 3.3.
const dateLayout = "Mon, 02 Jan 2006 15:04:05 -0700"

// traceHost is this host as trace fields and made-up addresses name it.
type traceHost struct {
	name   string
	domain mail.Domain
}

func newTraceHost(hostname string) traceHost {
	d, err := mail.ParseDomain(hostname)
	if err != nil {
		d = mail.MustParseDomain("localhost")
	}
	return traceHost{d.String(), d}
}

// appendReceived writes the Received field of RFC 5321 4.4: who the client said
// it was and where it really came from, over what, and when. Each part is a line,
// so that none gets long.
func (s *session) appendReceived(b []byte, e *mail.Envelope) []byte {
	b = append(b, "Received: from "...)
	b = s.appendFrom(b)
	b = append(b, "\r\n\tby "...)
	b = append(b, s.set.trace.name...)
	b = append(b, " (Postrider) with "...)
	b = append(b, s.protocol(e.SMTPUTF8)...)
	b = append(b, " id "...)
	b = append(b, e.ID.String()...)
	if s.tls != nil {
		b = append(b, "\r\n\t(using "...)
		b = append(b, mail.TLSName(s.tls)...)
		b = append(b, " with "...)
		b = append(b, tls.CipherSuiteName(s.tls.CipherSuite)...)
		b = append(b, ')')
	}
	if len(e.Recipients) == 1 {
		// With several it would show blind copies (RFC 5321 7.2).
		b = append(b, "\r\n\tfor <"...)
		b = append(b, e.Recipients[0].Address.String()...)
		b = append(b, '>')
	}
	b = append(b, ";\r\n\t"...)
	b = e.Arrival.AppendFormat(b, dateLayout)
	return append(b, "\r\n"...)
}

// appendFrom writes the name the client gave and the address it has. A name that
// is none can't stand where the grammar wants one, and is quoted in a comment.
func (s *session) appendFrom(b []byte) []byte {
	addr := addrPort(s.remote).Addr()
	name, err := mail.ParseDomain(s.helo)
	switch {
	case err == nil:
		b = append(b, name.String()...)
	case addr.IsValid():
		b = appendLiteral(b, addr)
	default:
		b = append(b, "unknown"...)
	}
	b = append(b, " ("...)
	if err != nil {
		b = append(b, `HELO "`...)
		b = appendComment(b, s.helo)
		b = append(b, `" `...)
	}
	if addr.IsValid() {
		b = appendLiteral(b, addr)
	} else {
		b = append(b, "local socket"...)
	}
	return append(b, ')')
}

func appendLiteral(b []byte, addr netip.Addr) []byte {
	return append(b, mail.LiteralDomain(addr).String()...)
}

// appendComment writes text that can end neither a comment nor a quoted string
// in it.
func appendComment(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '(' || c == ')' || c == '\\' || c == '"' || c < ' ' || c > '~':
			b = append(b, '?')
		default:
			b = append(b, c)
		}
	}
	return b
}

// protocol returns the keyword for "with" (RFC 3848, RFC 6531 4.3).
func (s *session) protocol(utf8 bool) string {
	if !s.esmtp {
		return "SMTP"
	}
	name := "ESMTP"
	if utf8 {
		name = "UTF8SMTP"
	}
	if s.tls != nil {
		name += "S"
	}
	if s.loggedIn {
		name += "A"
	}
	return name
}

// appendField writes a header field of ours, whose value is short.
func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}
