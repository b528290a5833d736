package bounce

import (
	"io"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// Kind is what a report tells. The zero Kind is Failed.
type Kind uint8

// Kinds of reports, the values of the Action field (RFC 3464 2.3.3). Nothing is
// expanded here, so there is no report about that.
const (
	Failed    Kind = iota // given up for good
	Delayed               // not yet delivered, still being tried
	Delivered             // delivered, and the sender had asked to be told
	Relayed               // handed to a host that makes no reports (RFC 3461 5.2.2)
)

var actions = [...]string{"failed", "delayed", "delivered", "relayed"}

// String returns the value of the Action field.
func (k Kind) String() string { return actions[k] }

// Wanted reports whether a sender that gave n in RCPT is to be told of k.
// Success is reported only on request, failures and delays unless declined
// (RFC 3461 4.1).
func (k Kind) Wanted(n mail.Notify) bool {
	switch k {
	case Failed:
		return n.Has(mail.NotifyFailure)
	case Delayed:
		return n.Has(mail.NotifyDelay)
	}
	return n.Has(mail.NotifySuccess)
}

// To returns where reports about e go, and false if nobody wants them: the
// message is itself a report (null reverse-path), or a policy says "none".
func To(e *mail.Envelope) (mail.Address, bool) {
	switch e.Reports {
	case "":
		return e.From.Address, !e.From.IsNull()
	case "none":
		return mail.Address{}, false
	}
	// A report about a report stops here whatever a policy says, or two relays
	// with broken policies would write to each other for ever.
	if e.From.IsNull() {
		return mail.Address{}, false
	}
	to, err := mail.ParseAddress(e.Reports)
	if err != nil {
		return e.From.Address, true
	}
	return to, true
}

// Report is one report about one message, to be sent to To(Envelope).
type Report struct {
	Kind         Kind
	ReportingMTA string       // our host name
	Postmaster   mail.Address // From of the report, and whom the text says to ask
	Envelope     *mail.Envelope
	Recipients   []Recipient // at least one, all of one Kind
	Time         time.Time   // of the report; its time zone is shown
	MessageID    string      // of the report, with angle brackets
}

// Recipient is what became of one recipient.
type Recipient struct {
	mail.Recipient
	// Status may be zero: then it comes from Reply and Kind.
	Status mail.EnhancedCode
	// Reply is the last answer, and Host who gave it. A Reply without a Host is
	// the relay's own verdict ("556 5.1.10 the domain accepts no mail").
	Reply mail.Reply
	Host  string
	// Reason says in words what no reply says ("connection refused").
	Reason string
	// LastAttempt is zero if there was none. RetryUntil counts for Delayed.
	LastAttempt, RetryUntil time.Time
	Attempts                int
}

// MaxOriginal is the size in octets of the largest message that a failure
// report brings back whole; of a larger one it holds the header.
const MaxOriginal = 1 << 20

// Compose writes the report to w and returns its envelope, complete but for ID
// and Identity. original is the content the report is about, size octets long, or nil
// if it can't be read, which the report then says. It is read only as far as the
// report needs it; an error is w's or original's.
func (r *Report) Compose(w io.Writer, original io.ReaderAt, size int64) (*mail.Envelope, error) {
	to, _ := To(r.Envelope)
	o, err := openOriginal(r, original, size)
	if err != nil {
		return nil, err
	}
	out := newWriter(w)
	r.writeHeader(out, to)
	text := r.text(o)
	out.part(r.boundary(), textHeader(text))
	writeText(out, text)
	out.part(r.boundary(), statusHeader(r))
	r.writeStatus(out)
	o.writeTo(out, r.boundary())
	out.line("")
	out.line("--" + r.boundary() + "--")
	if err := out.flush(); err != nil {
		return nil, err
	}
	return r.envelope(to, out), nil
}

// envelope is that of the report: from nobody, and never to be reported about
// (RFC 3461 6.2).
func (r *Report) envelope(to mail.Address, out *writer) *mail.Envelope {
	e := &mail.Envelope{
		Arrival:    r.Time,
		Recipients: []mail.Recipient{{Address: to, Notify: mail.NotifyNever}},
		SMTPUTF8:   to.NeedsUTF8(),
		RequireTLS: r.Envelope.RequireTLS,
		MessageID:  r.MessageID,
		Size:       out.size,
		EightBit:   out.eightBit,
	}
	if out.eightBit {
		e.Body = mail.Body8BitMIME
	}
	return e
}

// international reports whether the machine-readable parts take the forms of
// RFC 6533: the sender spoke SMTPUTF8, so its software reads them.
func (r *Report) international() bool {
	if r.Envelope.SMTPUTF8 {
		return true
	}
	for _, rcpt := range r.Recipients {
		if rcpt.Address.NeedsUTF8() {
			return true
		}
	}
	return false
}
