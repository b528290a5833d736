package delivery

import (
	"crypto/tls"
	"errors"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/routing"
)

// unvouched is our answer about a message that may travel only where TLS is verified and
// passed on (RFC 8689 section 4.2.1), to hosts of which nobody knows that they are the
// right ones.
var unvouched = mail.Reply{Code: 550, Enhanced: mail.EnhancedCode{5, 7, 30},
	Text: "REQUIRETLS support required: nothing vouches for the mail hosts of the domain (no MTA-STS and no DANE here)"}

// notPassedOn is the same to a host that is the right one.
func notPassedOn(host string) *mail.Error {
	return mail.Errorf(550, mail.EnhancedCode{5, 7, 30}, "REQUIRETLS support required: %s does not offer it", host)
}

// requiresTLS reports whether the message may go only where REQUIRETLS holds.
// Reports are not held to it: they would be thrown away (RFC 8689 section 5).
func (t *attempt) requiresTLS() bool {
	return t.a.Envelope.RequireTLS && !t.a.Envelope.From.IsNull()
}

// vouched reports whether it is certain which host is the right one, so that its
// certificate proves something: one from the configuration or an address, but not
// one that DNS without signatures names.
func (t *attempt) vouched() bool {
	_, literal := t.a.Delivery.Destination.Domain.Literal()
	return literal || t.route.Smarthost
}

// raisesTLS reports whether it is this message that insists on verified TLS, while
// others go by the same route without.
func (t *attempt) raisesTLS() bool {
	return t.requiresTLS() && !verifies(t.route.TLS)
}

// refusedTLS is refused for a message that raises the policy: it is nobody's fault
// if that can't be had, and final where it surely can't.
func (t *attempt) refusedTLS(hop *routing.NextHop, x *trouble) (goOn bool) {
	f := failure{host: hop.Host, ruling: ruling{verdict: queue.Defer, next: true}, reply: x.reply, reason: x.reason()}
	var unproven *tls.CertificateVerificationError
	if x.reply.Permanent() || errors.Is(x, errNotOffered) || errors.As(x, &unproven) {
		f.ruling.verdict, f.own, f.reason = queue.Bounce, true, ""
		f.reply = mail.Reply{Code: 550, Enhanced: mail.EnhancedCode{5, 7, 10}, Text: "encryption needed: " + hop.Host + ": " + x.Error()}
	}
	t.failures = append(t.failures, f)
	return x.reply.Code == 0
}
