package queue

import (
	"errors"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// acceptedEvent says that e is in the queue.
func acceptedEvent(e *mail.Envelope, now time.Time) mail.Event {
	to := make([]mail.Address, len(e.Recipients))
	for i := range e.Recipients {
		to[i] = e.Recipients[i].Address
	}
	return mail.Event{
		Kind: mail.EventAccepted, Time: now, ID: e.ID, MessageID: e.MessageID,
		Identity: e.Identity.Name, Mechanism: e.Identity.Mechanism, Listener: e.Identity.Listener,
		From: &e.From, To: to, Host: e.Identity.Helo, Address: e.Identity.Remote,
		TLS: e.Identity.TLS, Size: e.Size,
	}
}

// tellAccepted says that a new message is in the queue, and what of it is held.
func (q *Queue) tellAccepted(b *born) {
	e, now := b.message.Envelope, q.clock.now()
	q.recorder.Record(acceptedEvent(e, now))
	for _, d := range b.message.Deliveries {
		if d.State == Held || d.State == Captured {
			q.recorder.Record(q.operatorEvent(mail.EventHeld, e, d, mail.Domain{}, now))
		}
	}
}

// eventOf returns an event about recipients of d, without To. e may be nil if
// the envelope can't be read.
func (q *Queue) eventOf(kind mail.EventKind, e *mail.Envelope, d *Delivery, now time.Time) mail.Event {
	ev := mail.Event{
		Kind: kind, Time: now, ID: d.Message, Identity: d.Identity,
		Route: d.Destination.Route, Domain: d.Destination.Domain,
		Attempt: d.Attempts, Size: d.Size, Delay: max(now.Sub(d.Arrival), 0),
	}
	if e != nil {
		ev.MessageID, ev.From, ev.Listener = e.MessageID, &e.From, e.Identity.Listener
	}
	return ev
}

// fates are the events for the states that attempts and sweeps lead to.
var fates = map[State]mail.EventKind{
	Deferred:  mail.EventDeferred,
	Dead:      mail.EventDead,
	Delivered: mail.EventDelivered,
	Bounced:   mail.EventBounced,
	Expired:   mail.EventExpired,
}

// tell adds an event to s for each different fate that recipients of d have met
// since s.old. about holds what an attempt knows, such as host and phases.
func (q *Queue) tell(s *settlement, d *Delivery, about *mail.Event, number int, next, now time.Time) {
	var seen []*RecipientState // the first recipient of each event
	for i := range d.Recipients {
		r := &d.Recipients[i]
		if *r == s.old.Recipients[i] {
			continue
		}
		kind, ok := fates[r.State]
		if !ok {
			continue
		}
		to := s.envelope.Recipients[r.Index].Address
		if at := like(seen, r); at >= 0 {
			s.events[at].To = append(s.events[at].To, to)
			continue
		}
		seen = append(seen, r)
		ev := q.eventOf(kind, s.envelope, d, now)
		ev.Host, ev.Address, ev.TLS, ev.Phases = about.Host, about.Address, about.TLS, about.Phases
		if r.Host != "" {
			ev.Host = r.Host
		}
		ev.To, ev.Reply, ev.Attempt, ev.Err = []mail.Address{to}, r.Reply, number, about.Err
		if r.Reason != "" {
			ev.Err = errors.New(r.Reason)
		}
		if r.State == Deferred {
			ev.Next = next
		}
		s.events = append(s.events, ev)
	}
}

// standFor lets one of the events of an attempt stand for it: that of what went best.
func standFor(events []mail.Event) {
	for _, kind := range []mail.EventKind{mail.EventDelivered, mail.EventBounced, mail.EventDeferred, mail.EventExpired, mail.EventDead} {
		for i := range events {
			if events[i].Kind == kind {
				events[i].Result = true
				return
			}
		}
	}
}

// like returns the index of the recipient in seen that shares r's fate, or -1.
func like(seen []*RecipientState, r *RecipientState) int {
	for i, s := range seen {
		if s.State == r.State && s.Host == r.Host && s.Reason == r.Reason && s.Reply == r.Reply {
			return i
		}
	}
	return -1
}
