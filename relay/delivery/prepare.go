package delivery

import (
	"errors"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// refusal is why a host can't have the message, in our own words, for everyone.
type refusal struct {
	*mail.Error
	next bool // another host may do; without, it is final
}

// prepare fits the message to what the host of s offers. A nil exchange without a
// refusal says that this host can take no recipient; they have their results then.
func (t *attempt) prepare(s *session) (*exchange, *refusal) {
	e := t.a.Envelope
	if t.requiresTLS() && !(s.secured && s.offers.requireTLS) {
		return nil, &refusal{notPassedOn(s.host), true}
	}
	b, err := t.fit(s)
	if err != nil {
		return nil, &refusal{Error: refusalFor(err, s.host)}
	}
	if s.offers.maxSize > 0 && b.size > s.offers.maxSize {
		return nil, &refusal{Error: mail.Errorf(552, mail.EnhancedCode{5, 3, 4},
			"message of %d octets is larger than the %d that %s takes", b.size, s.offers.maxSize, s.host)}
	}
	x := &exchange{
		s: s, envelope: e, body: b, utf8: s.offers.utf8 && e.SMTPUTF8, probe: t.probe, lockstep: t.known != nil,
		timeouts: &t.rules.timeouts, phases: &t.phases, todo: t.todo,
	}
	if e.SMTPUTF8 && !s.offers.utf8 {
		if err := t.withoutUTF8(x); err != nil {
			return nil, &refusal{Error: err}
		}
	}
	if len(x.todo) == 0 {
		t.leave(x)
		return nil, nil
	}
	x.limit(s.offers.recipients)
	x.recipients = make([]int, len(x.todo))
	for n, i := range x.todo {
		x.recipients[n] = t.a.Pending[i]
	}
	return x, nil
}

// leave takes those out of the attempt that its exchange does without. It waits until
// the host has taken MAIL: for another host they are not lost yet.
func (t *attempt) leave(x *exchange) {
	t.todo = x.todo
	for i, r := range x.without {
		t.results[i] = r
	}
}

// fit returns the content in a form the host takes: as it is where possible, else
// converted (RFC 6152 section 3, RFC 3030 section 3).
func (t *attempt) fit(s *session) (*body, error) {
	e, c := t.a.Envelope, t.a.Content
	eightBit := s.offers.eightBit || s.offers.utf8 // RFC 6531 3.1: the one implies the other
	switch {
	case e.Body == mail.BodyBinaryMIME && s.offers.binaryMIME && s.offers.chunking:
		return asIs(c, mail.BodyBinaryMIME), nil
	case e.Body == mail.BodyBinaryMIME, e.EightBit && !eightBit:
		return to7Bit(c)
	case e.EightBit:
		return asIs(c, mail.Body8BitMIME), nil
	}
	return asIs(c, e.Body), nil
}

// refusalFor is the answer about content that can't be converted, or not even read,
// which is worth a delay only.
func refusalFor(err error, host string) *mail.Error {
	if why, ok := errors.AsType[*conversionError](err); ok {
		return mail.Errorf(554, mail.EnhancedCode{5, 6, 3},
			"%s takes 7-bit messages only, and this one can't be converted: %s", host, why.reason)
	}
	return mail.Errorf(451, mail.EnhancedCode{4, 3, 0}, "content can't be read").Because(err)
}

// withoutUTF8 is for a host without SMTPUTF8. Recipients whose address needs it
// bounce; the others are served if sender and header are ASCII (RFC 6531 section
// 3.2 allows no conversion).
func (t *attempt) withoutUTF8(x *exchange) *mail.Error {
	host := x.s.host
	if t.a.Envelope.From.NeedsUTF8() {
		return mail.Errorf(553, mail.EnhancedCode{5, 6, 7}, "%s offers no SMTPUTF8, which the sender's address needs", host)
	}
	ascii, err := asciiHeader(t.a.Content)
	if err != nil {
		return refusalFor(err, host)
	}
	if !ascii {
		return mail.Errorf(554, mail.EnhancedCode{5, 6, 9}, "%s offers no SMTPUTF8, which the message's header needs", host)
	}
	rest := x.todo[:0:0]
	for _, i := range x.todo {
		if !t.a.Envelope.Recipients[t.a.Pending[i]].Address.NeedsUTF8() {
			rest = append(rest, i)
			continue
		}
		x.except(i, queue.Result{Verdict: queue.Bounce, Reply: mail.Reply{
			Code: 553, Enhanced: mail.EnhancedCode{5, 6, 7}, Text: host + " offers no SMTPUTF8, which this address needs",
		}})
	}
	x.todo = rest
	return nil
}

// asciiHeader reports whether the header of the content is plain ASCII.
func asciiHeader(c queue.Content) (bool, error) {
	h, err := readHeader(c, 0, c.Size())
	if err != nil {
		return false, err
	}
	return !h.eightBit, nil
}

// limit leaves the first most recipients in this transaction, and the others to
// the next one.
func (x *exchange) limit(most int) {
	if most <= 0 || most >= len(x.todo) {
		return
	}
	for _, i := range x.todo[most:] {
		x.except(i, queue.Result{Verdict: queue.Again})
	}
	x.todo = x.todo[:most]
}

func (x *exchange) except(i int, r queue.Result) {
	if x.without == nil {
		x.without = make(map[int]queue.Result)
	}
	x.without[i] = r
}

// unfit is for a message this host can't take. It reports whether the attempt is
// settled.
func (t *attempt) unfit(s *session, why *refusal) (settled bool) {
	f := failure{host: s.host, own: true, reply: why.Reply, ruling: ruling{verdict: queue.Bounce, next: why.next}}
	if !why.Permanent() {
		f.ruling.verdict = queue.Defer
	}
	if why.next {
		t.failures = append(t.failures, f)
		return false
	}
	t.event.Reply, t.event.Err = f.reply, why.Cause
	t.everyone(f.result())
	return true
}
