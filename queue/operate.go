package queue

import (
	"context"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// Retry makes what sel selects due now, dead mail too, and has destinations in
// trouble probed at once. Held and captured mail stays where it is. It returns how
// many deliveries it was about; so do the other commands. What is retried, held or
// released is a delivery whole: those that go the same way go together.
func (q *Queue) Retry(ctx context.Context, sel Selector) (int, error) {
	return q.operate(ctx, sel, wishRetry)
}

// Hold takes what sel selects out of the schedule until Release.
func (q *Queue) Hold(ctx context.Context, sel Selector) (int, error) {
	return q.operate(ctx, sel, wishHold)
}

// Release puts held and captured mail into the schedule, due now.
func (q *Queue) Release(ctx context.Context, sel Selector) (int, error) {
	return q.operate(ctx, sel, wishRelease)
}

// Delete drops what sel selects; of a delivery to several domains, only the
// recipients in sel.ToDomain if there is one. Nobody is told. Of a message given by
// nothing but its id it drops what was moved aside, too.
func (q *Queue) Delete(ctx context.Context, sel Selector) (int, error) {
	count, err := q.operate(ctx, sel, wishDelete)
	if err != nil || !sel.onlyIDs() {
		return count, err
	}
	for _, id := range sel.IDs {
		forgotten, err := q.store.Forget(ctx, id)
		if err != nil {
			return count, err
		}
		if forgotten {
			q.log.Info("what was left of a damaged message is deleted", "id", id.String())
			count++
		}
	}
	return count, nil
}

// Bounce gives up what sel selects, recipients as Delete does, and tells the senders.
// What has no sender to tell stays.
func (q *Queue) Bounce(ctx context.Context, sel Selector) (int, error) {
	return q.operate(ctx, sel, wishBounce)
}

// operate does w to what sel selects, page by page, each page in one synced
// commit. What is being attempted has it done when the attempt has been settled.
func (q *Queue) operate(ctx context.Context, sel Selector, do deed) (count int, err error) {
	if !sel.selective() {
		return 0, ErrUnselective
	}
	w := wish{deed: do, domain: sel.ToDomain}
	if do == wishRetry {
		q.sched.probeSelected(&sel)
	}
	var after DeliveryKey
	for {
		page, next, err := q.find(ctx, &sel, after, sweepPage)
		if err != nil {
			return count, err
		}
		n, err := q.operatePage(page, w)
		if count += n; err != nil || next == (DeliveryKey{}) {
			return count, err
		}
		after = next
	}
}

func (q *Queue) operatePage(page []found, w wish) (int, error) {
	q.hands.Lock()
	defer q.hands.Unlock()
	count := 0
	var all []*settlement
	var unread error // the last that could not be read; the others are done
	for _, f := range page {
		if !w.suits(f.delivery, f.envelope) {
			continue
		}
		change := func(e *mail.Envelope, d *Delivery) *settlement { return q.fulfil(w, e, d) }
		s, err := q.changeOne(f.envelope, f.delivery, w, change)
		if err != nil {
			unread = err
			continue
		}
		count++
		if s != nil {
			all = append(all, s)
		}
		if w.deed == wishRetry {
			q.sched.probe(f.delivery.Destination)
		}
	}
	if err := q.applyOrLeave(true, all); err != nil {
		return count - len(all), err
	}
	return count, unread
}

// grant does to a delivery, whose claim is held, what operators asked for
// meanwhile, in that order, and gives up the claim.
func (q *Queue) grant(t *settlement) {
	for {
		w, ok := q.sched.nextWish(t.new)
		if !ok {
			return
		}
		s := q.fulfil(w, t.envelope, t.new)
		if s == nil {
			continue
		}
		if err := q.applyOrLeave(true, []*settlement{s}); err != nil { // grants the next
			q.log.Error("doing what an operator asked for", "id", t.old.Message.String(), "err", err)
		}
		return
	}
}

// suits reports whether there is anything to do about d.
func (w wish) suits(d *Delivery, e *mail.Envelope) bool {
	switch w.deed {
	case wishRetry:
		return d.scheduled() || d.State == Dead
	case wishHold:
		return d.scheduled()
	case wishRelease:
		return d.State == Held || d.State == Captured
	case wishBounce:
		if e.From.IsNull() {
			return false
		}
	}
	return w.domain.IsZero() || d.waitsFor(e, w.domain)
}

// byOperator is what the sender reads about mail an operator returned.
var byOperator = mail.Reply{Code: 554, Enhanced: mail.EnhancedCode{5, 7, 0}, Text: "returned by the operator of the mail relay"}

// fulfil returns the settlement that does w to d, or nil if there is nothing to
// do.
func (q *Queue) fulfil(w wish, e *mail.Envelope, d *Delivery) *settlement {
	if !w.suits(d, e) {
		return nil
	}
	now := q.clock.now()
	n := d.clone()
	s := &settlement{envelope: e, old: d, new: n}
	switch w.deed {
	case wishRetry:
		if d.scheduled() && !d.Due.After(now) {
			return nil
		}
		n.reschedule(now)
	case wishHold:
		n.State = Held
		s.events = []mail.Event{q.operatorEvent(mail.EventHeld, e, d, mail.Domain{}, now)}
	case wishRelease:
		n.reschedule(now)
		s.events = []mail.Event{q.operatorEvent(mail.EventReleased, e, d, mail.Domain{}, now)}
	case wishDelete:
		s.events = []mail.Event{q.operatorEvent(mail.EventDeleted, e, d, w.domain, now)}
		n.Recipients = slices.DeleteFunc(n.Recipients, func(r RecipientState) bool { return r.waits(e, w.domain) })
		s.goOn()
	case wishBounce:
		for i := range n.Recipients {
			if r := &n.Recipients[i]; r.waits(e, w.domain) {
				r.State, r.Reply, r.Host, r.Reason, r.At = Bounced, byOperator, "", "", now
			}
		}
		q.tell(s, n, &mail.Event{}, n.Attempts, now, now)
		q.reportFailures(s, n, n.Attempts, now)
		s.goOn()
	}
	return s
}

// goOn ends the delivery if nobody waits any more.
func (s *settlement) goOn() {
	switch {
	case !s.new.waitsFor(s.envelope, mail.Domain{}):
		s.new = nil
	case len(s.new.pending()) == 0:
		s.new.State = Dead
	}
}

// reschedule makes d due now, and pending again what was dead.
func (d *Delivery) reschedule(now time.Time) {
	d.Due, d.State, d.Refused = now, Active, ""
	if d.Attempts > 0 {
		d.State = Deferred
	}
	for i := range d.Recipients {
		if r := &d.Recipients[i]; r.State == Dead {
			r.State = Deferred
		}
	}
}

// operatorEvent tells of what was done to the recipients of d that wait, in domain
// if that is given.
func (q *Queue) operatorEvent(kind mail.EventKind, e *mail.Envelope, d *Delivery, domain mail.Domain, now time.Time) mail.Event {
	ev := q.eventOf(kind, e, d, now)
	for i := range d.Recipients {
		if r := &d.Recipients[i]; r.waits(e, domain) {
			ev.To = append(ev.To, e.Recipients[r.Index].Address)
		}
	}
	return ev
}
