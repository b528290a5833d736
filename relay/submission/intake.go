package submission

import (
	"bytes"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
	"github.com/postrider/postrider/queue"
)

// maxReceived is how many Received fields a message may bring (RFC 5321 6.3).
const maxReceived = 100

// intake is a message on its way through: it checks the content, completes the
// header, and writes both to the queue. Once the message is refused the rest of
// it is only counted.
type intake struct {
	s        *session
	envelope *mail.Envelope
	to       Incoming
	header   *header // nil once it has been written
	newlines newlines
	octets   int64 // received
	size     int64 // written
	tail     byte  // the last octet written
	from     []mail.Address
	plan     policy.Verdict
	refused  error
}

func newIntake(s *session) *intake {
	k := &intake{s: s, envelope: s.tx.envelope, to: s.tx.incoming, header: newHeader()}
	k.envelope.Arrival = time.Now()
	k.envelope.ID = k.to.ID()
	return k
}

// release gives back what is used again.
func (k *intake) release() {
	if k.header != nil {
		k.header.release()
	}
}

// refuse notes the first thing that is wrong.
func (k *intake) refuse(err error) {
	if k.refused == nil {
		k.refused = err
	}
}

// write takes more of the content.
func (k *intake) write(p []byte) {
	if k.refused != nil {
		return
	}
	k.octets += int64(len(p))
	if limit := k.s.tx.limit; limit > 0 && k.octets > limit {
		k.refuse(tooBig(limit))
		return
	}
	held := k.newlines.cr
	bare := k.newlines.bare(p)
	switch {
	case k.newlines.nul:
		k.refuse(errNUL)
	case k.s.lst.conf.BareNewlines == config.BareNormalise:
		if bare || held || k.newlines.cr {
			p = k.newlines.clean(p, held)
		}
		k.pass(p)
	case bare:
		k.refuse(errBareNewline)
	default:
		k.pass(p)
	}
}

// pass takes content whose lines are in order.
func (k *intake) pass(p []byte) {
	if k.header == nil {
		k.put(p)
		return
	}
	k.header.write(p)
	k.checkHeader()
}

// checkHeader writes the header if it is there.
func (k *intake) checkHeader() {
	h := k.header
	limit := int(k.s.set.limits.MaxHeaderSize)
	switch {
	case limit > 0 && (h.done && h.body > limit || !h.done && len(h.buf) > limit):
		k.refuse(mail.Errorf(552, mail.EnhancedCode{5, 3, 4}, "Message header too big: at most %d octets", limit))
	case h.done:
		k.putHeader()
	}
}

// put writes to the queue.
func (k *intake) put(p []byte) {
	if len(p) == 0 {
		return
	}
	if _, err := k.to.Write(p); err != nil {
		k.refuse(storing(err))
		return
	}
	k.size += int64(len(p))
	k.tail = p[len(p)-1]
}

// finish puts the message into the queue and returns its ID.
func (k *intake) finish() (mail.ID, error) {
	if k.refused == nil && k.newlines.end() {
		if k.s.lst.conf.BareNewlines == config.BareNormalise {
			k.pass(crlf)
		} else {
			k.refuse(errBareNewline)
		}
	}
	if k.refused == nil && k.header != nil && k.header.cut() {
		k.pass(crlf) // what we add is not to become part of a field
	}
	if k.refused == nil && k.header != nil {
		k.header.end()
		k.checkHeader()
	}
	if k.refused == nil && k.tail != '\n' {
		k.put(crlf) // BDAT may end without; in the queue all is lines
	}
	if k.refused != nil {
		return mail.ID{}, k.refused
	}
	e := k.envelope
	e.Size, e.EightBit = k.size, k.newlines.eightBit
	verdict, err := k.judge()
	if err != nil {
		return mail.ID{}, err
	}
	disposition := queue.Deliver
	if verdict.Environment == config.EnvironmentCapture {
		disposition = queue.Capture
	}
	id := e.ID
	if err := k.to.Commit(k.s.srv.ctx, e, disposition); err != nil {
		if verdict.Undo != nil {
			verdict.Undo()
		}
		return mail.ID{}, storing(err)
	}
	return id, nil
}

// judge asks the policy about the whole message, and does to the envelope what
// it says. The header has been written as it had planned.
func (k *intake) judge() (policy.Verdict, error) {
	e := k.envelope
	if k.s.tx.judge == nil {
		return policy.Verdict{}, nil
	}
	v, err := k.s.tx.judge.Message(k.s.identity, k.octets, k.from)
	if err != nil {
		return v, err
	}
	e.Reports = v.Bounces
	if r := v.Rewrite.ReversePath; r != nil && !e.From.IsNull() {
		e.From = mail.Path{Address: *r}
	}
	if v.Environment == config.EnvironmentRedirect {
		e.Recipients = make([]mail.Recipient, len(v.RedirectTo))
		for i, a := range v.RedirectTo {
			e.Recipients[i].Address = a
		}
	}
	return v, nil
}

// scratch are buffers for headers on their way out.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// putHeader writes the trace field, the header without what must not leave, what
// it lacks, and what came behind it.
func (k *intake) putHeader() {
	h := k.header
	k.header = nil
	defer h.release()
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)

	found := k.inspect(h)
	if found.received > maxReceived {
		k.refuse(errLoop)
		return
	}
	if j := k.s.tx.judge; j != nil {
		k.plan = j.Plan(k.s.identity)
	}
	b := k.s.appendReceived((*buf)[:0], k.envelope)
	if k.plan.Environment == config.EnvironmentRedirect {
		// Who reads redirected mail sees whom it was for, blind copies too.
		for _, r := range k.envelope.Recipients {
			b = appendField(b, "X-Original-To", r.Address.String())
		}
	}
	b = k.appendFields(b, h, found)
	if !found.date {
		b = appendField(b, "Date", k.envelope.Arrival.Format(dateLayout))
	}
	if k.envelope.MessageID == "" {
		k.envelope.MessageID = "<" + k.envelope.ID.String() + "@" + k.s.set.trace.name + ">"
		b = appendField(b, "Message-ID", k.envelope.MessageID)
	}
	if h.separated || h.body < len(h.buf) {
		b = append(b, "\r\n"...)
	}
	b = append(b, h.buf[h.body:]...)
	k.put(b)
	*buf = b
}

// found is what a header was seen to hold.
type found struct {
	received int
	date     bool
	replyTo  bool
}

// inspect looks through the header.
func (k *intake) inspect(h *header) (f found) {
	for _, x := range h.fields {
		switch h.buf[x.start] | 0x20 {
		case 'r':
			if h.is(x, "Received") {
				f.received++
			}
			f.replyTo = f.replyTo || h.is(x, "Reply-To")
		case 'd':
			f.date = f.date || h.is(x, "Date")
		case 'm':
			if k.envelope.MessageID == "" && h.is(x, "Message-ID") {
				k.envelope.MessageID = messageID(h.value(x))
			}
		case 'f':
			if h.is(x, "From") {
				k.from = appendFrom(k.from, string(h.value(x)))
			}
		}
	}
	return f
}

// maxMessageID is how much of a Message-ID is kept with the envelope, in octets: as
// long as a line may be (RFC 5322 2.1.1).
const maxMessageID = 998

// messageID reads a Message-ID as the log and the operator see it: unfolded.
func messageID(value []byte) string {
	id := bytes.TrimSpace(bytes.ReplaceAll(value, crlf, nil))
	return string(id[:min(len(id), maxMessageID)])
}

// appendFields copies the fields that may leave, in long runs.
func (k *intake) appendFields(b []byte, h *header, f found) []byte {
	run := 0
	if len(h.fields) > 0 {
		run = h.fields[0].start
	}
	skip := func(x field) {
		b = append(b, h.buf[run:x.start]...)
		run = x.end
	}
	rewritten := k.plan.Rewrite.From == nil
	for _, x := range h.fields {
		switch {
		case h.is(x, "Bcc"), h.is(x, "Resent-Bcc"):
			skip(x)
		case k.plan.Rewrite.From != nil && h.is(x, "From"):
			skip(x)
			if rewritten {
				continue // a message has one
			}
			rewritten = true
			b = appendRewrittenFrom(b, h.value(x), *k.plan.Rewrite.From)
			if !f.replyTo {
				b = appendReplyTo(b, h.value(x))
			}
		}
	}
	if n := len(h.fields); n > 0 {
		b = append(b, h.buf[run:h.fields[n-1].end]...)
	}
	if !rewritten {
		b = appendRewrittenFrom(b, nil, *k.plan.Rewrite.From)
	}
	return b
}
