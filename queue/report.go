package queue

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue/bounce"
)

// statusExpired is the status of a recipient given up by age (RFC 3463 3.5).
var statusExpired = mail.EnhancedCode{4, 4, 7}

// reportFailures adds the report about recipients of d that were given up since
// s.old.
func (q *Queue) reportFailures(s *settlement, d *Delivery, number int, now time.Time) {
	if _, ok := bounce.To(s.envelope); !ok {
		return
	}
	var gone []bounce.Recipient
	for i := range d.Recipients {
		r := &d.Recipients[i]
		if (r.State == Bounced || r.State == Expired) && r.State != s.old.Recipients[i].State {
			gone = q.appendReported(gone, bounce.Failed, s.envelope, r, number)
		}
	}
	q.addReport(s, bounce.Failed, gone, now)
}

// reportRelayed adds the report about recipients that were handed, by the
// attempt, to a host that makes no reports itself (RFC 3461 5.2.2).
func (q *Queue) reportRelayed(s *settlement, d *Delivery, a *attempting, out *Outcome, number int, now time.Time) {
	if _, ok := bounce.To(s.envelope); !ok {
		return
	}
	var relayed []bounce.Recipient
	for i, index := range a.Pending {
		if out.Results[i].Verdict == Success && !out.Results[i].Relayed {
			relayed = q.appendReported(relayed, bounce.Relayed, s.envelope, d.recipient(index), number)
		}
	}
	q.addReport(s, bounce.Relayed, relayed, now)
}

// warn adds a delay report to s, once, when d has waited for long enough. While
// its route is suspended, or its sender refused, nothing is known of when that ends;
// and a report that would itself wait behind the same fault is not made.
func (q *Queue) warn(s *settlement, d *Delivery, now time.Time) {
	after := q.plan().WarnAfter
	age := q.clock.age(d.Arrival, now)
	if after <= 0 || d.Warned || age < after {
		return
	}
	suspended := q.sched.suspended(d.Destination)
	if suspended && q.reportWaits(s.envelope) {
		return
	}
	d.Warned = true
	if _, ok := bounce.To(s.envelope); !ok {
		return
	}
	var late []bounce.Recipient
	var to []mail.Address
	for _, index := range d.pending() {
		n := len(late)
		late = q.appendReported(late, bounce.Delayed, s.envelope, d.recipient(index), d.Attempts)
		if len(late) > n {
			if !suspended && d.Refused == "" {
				late[n].RetryUntil = now.Add(q.plan().Lifetime - age)
			}
			to = append(to, s.envelope.Recipients[index].Address)
		}
	}
	if len(late) == 0 {
		return
	}
	q.addReport(s, bounce.Delayed, late, now)
	ev := q.eventOf(mail.EventDelayed, s.envelope, d, now)
	ev.To, ev.Next = to, d.Due
	s.events = append(s.events, ev)
}

// reportWaits reports whether a report about e would go by a suspended route.
func (q *Queue) reportWaits(e *mail.Envelope) bool {
	to, ok := bounce.To(e)
	if !ok {
		return false
	}
	report := &mail.Envelope{Recipients: []mail.Recipient{{Address: to}}}
	return q.sched.suspended(q.destination(report, 0))
}

// appendReported appends r in the form of a report, if its sender wants to be told.
func (q *Queue) appendReported(list []bounce.Recipient, kind bounce.Kind, e *mail.Envelope, r *RecipientState, attempts int) []bounce.Recipient {
	rcpt := e.Recipients[r.Index]
	if !kind.Wanted(rcpt.Notify) {
		return list
	}
	b := bounce.Recipient{Recipient: rcpt, Reply: r.Reply, Host: r.Host, Reason: r.Reason, Attempts: attempts}
	if attempts > 0 {
		b.LastAttempt = r.At
	}
	if r.State == Expired {
		b.Status = statusExpired
	}
	return append(list, b)
}

// author is whom reports come from.
type author struct {
	hostname   string
	postmaster mail.Address
}

func (q *Queue) addReport(s *settlement, kind bounce.Kind, about []bounce.Recipient, now time.Time) {
	if len(about) == 0 {
		return
	}
	from := q.author.Load()
	s.reports = append(s.reports, &bounce.Report{
		Kind: kind, ReportingMTA: from.hostname, Postmaster: from.postmaster,
		Envelope: s.envelope, Recipients: about, Time: now,
	})
}

// writeReport stages r as a message of our own, ready to be committed together
// with what it reports. If the original can't be read, for whatever reason, the
// report goes without it: a sender who learns little is better off than one who
// learns nothing. An error is the stage's.
func (q *Queue) writeReport(r *bounce.Report) (born, error) {
	content, err := q.store.Content(q.ctx, r.Envelope.ID)
	if err == nil {
		defer content.Close()
		original := &watchedContent{Content: content}
		b, failed := q.stageReport(r, original)
		switch {
		case original.err != nil:
			err = original.err
		case errors.Is(failed, errComposing):
			err = failed
		default:
			return b, failed
		}
	}
	q.log.Warn("a report goes without the message it is about", "id", r.Envelope.ID.String(), "err", err)
	return q.stageReport(r, nil)
}

// watchedContent is content that remembers whether reading it failed. It is read by
// one goroutine.
type watchedContent struct {
	Content
	err error
}

// ReadAt implements Content.
func (c *watchedContent) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Content.ReadAt(p, off)
	if err != nil && !(errors.Is(err, io.EOF) && off+int64(n) == c.Size()) {
		c.err = err
	}
	return n, err
}

// errComposing: composing a report panicked. What makes it do so is a message, which
// must not end the relay at each of its starts.
var errComposing = errors.New("panic while the report was composed")

// stageReport composes r. A nil original is one that can't be read.
func (q *Queue) stageReport(r *bounce.Report, original Content) (_ born, err error) {
	stage, err := q.store.Stage()
	if err != nil {
		return born{}, err
	}
	defer func() {
		if p := recover(); p != nil {
			stage.Discard()
			q.log.Error("panic in a report", "id", r.Envelope.ID.String(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errComposing
		}
	}()
	id := mail.NewID(q.clock.now())
	r.MessageID = "<" + id.String() + "@" + r.ReportingMTA + ">"
	var size int64
	if original != nil {
		size = original.Size()
	}
	e, err := r.Compose(stage, original, size)
	if err != nil {
		stage.Discard()
		return born{}, err
	}
	e.ID, e.Identity = id, mail.Identity{Mechanism: "none", Listener: "bounce"}
	deliveries := q.plot(e, Deliver)
	return born{message: NewMessage{Envelope: e, Deliveries: deliveries, Content: stage}}, nil
}
