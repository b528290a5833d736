package delivery

import (
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/mail"
)

// appendMail appends MAIL with what the host understands of what the client
// asked for.
func appendMail(b []byte, e *mail.Envelope, body *body, utf8 bool, k *keywords) []byte {
	b = append(b, "MAIL FROM:"...)
	b = append(b, e.From.String()...)
	if k.size {
		b = append(b, " SIZE="...)
		b = strconv.AppendInt(b, body.size, 10)
	}
	if k.eightBit && body.kind == mail.Body8BitMIME || body.kind == mail.BodyBinaryMIME {
		b = append(b, " BODY="...)
		b = append(b, body.kind.String()...)
	}
	if utf8 {
		b = append(b, " SMTPUTF8"...)
	}
	if e.RequireTLS && k.requireTLS {
		b = append(b, " REQUIRETLS"...)
	}
	if k.dsn {
		switch e.Return {
		case mail.ReturnFull:
			b = append(b, " RET=FULL"...)
		case mail.ReturnHeaders:
			b = append(b, " RET=HDRS"...)
		}
		if e.EnvelopeID != "" {
			b = append(b, " ENVID="...)
			b = mail.AppendXtext(b, e.EnvelopeID)
		}
	}
	return append(b, "\r\n"...)
}

// appendRcpt appends RCPT.
func appendRcpt(b []byte, r *mail.Recipient, k *keywords) []byte {
	b = append(b, "RCPT TO:<"...)
	b = append(b, r.Address.String()...)
	b = append(b, '>')
	if k.dsn {
		if r.Notify != 0 {
			b = append(b, " NOTIFY="...)
			b = append(b, notifyWords(r.Notify)...)
		}
		if r.Original != "" {
			b = append(b, " ORCPT="...)
			b = append(b, r.OriginalType...)
			b = append(b, ';')
			if strings.EqualFold(r.OriginalType, "utf-8") {
				b = appendUTF8Xtext(b, r.Original)
			} else {
				b = mail.AppendXtext(b, r.Original)
			}
		}
	}
	return append(b, "\r\n"...)
}

// notifyWords writes a set as RCPT takes it (RFC 3461 4.1).
func notifyWords(n mail.Notify) string {
	if n&mail.NotifyNever != 0 {
		return "NEVER"
	}
	var words []string
	for _, x := range []struct {
		event mail.Notify
		word  string
	}{{mail.NotifySuccess, "SUCCESS"}, {mail.NotifyFailure, "FAILURE"}, {mail.NotifyDelay, "DELAY"}} {
		if n&x.event != 0 {
			words = append(words, x.word)
		}
	}
	return strings.Join(words, ",")
}

// appendUTF8Xtext appends s as utf-8-addr-xtext (RFC 6533 section 3), which is
// ASCII and so goes to every host.
func appendUTF8Xtext(b []byte, s string) []byte {
	for _, r := range s {
		if r > ' ' && r < 0x7f && r != '+' && r != '=' && r != '\\' {
			b = append(b, byte(r))
			continue
		}
		b = append(b, `\x{`...)
		b = append(b, strings.ToUpper(strconv.FormatInt(int64(r), 16))...)
		b = append(b, '}')
	}
	return b
}
