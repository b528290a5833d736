package queue

import (
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// ruling is what an outcome means for a delivery.
type ruling struct {
	settlement
	again    []int  // recipients that want a further transaction at once
	reroute  []int  // recipients that the route table sends elsewhere now
	deferred bool   // some were deferred by this attempt
	table    uint64 // generation of the route table when the attempt began
}

// judge decides what becomes of each recipient after an attempt, and of the
// delivery. pause is when the destination is tried next if it is in trouble, or the
// sender if its mail stands aside; else zero. Nothing is stored yet.
func (q *Queue) judge(a *attempting, out *Outcome, pause time.Time, aside bool) *ruling {
	now := q.clock.now()
	d := a.Delivery.clone()
	v := &ruling{settlement: settlement{envelope: a.Envelope, old: a.Delivery, new: d}, deferred: a.deferred, table: a.table}
	q.apportion(v, a, out, now)
	d.InDoubt = out.InDoubt
	d.comeBack()
	if v.deferred && len(v.again) == 0 {
		q.expire(v, out.Fault, now)
	}
	number := d.Attempts + 1
	rest := d.pending()
	switch {
	case len(v.again) > 0:
		v.keep, d.Due = true, now
	case len(rest) == 0 && d.count(Dead) > 0:
		d.Attempts, d.State = number, Dead
	case len(rest) == 0:
		v.new = nil
	case v.deferred:
		d.Attempts, d.State = number, Deferred
		d.Due = q.nextAttempt(d, pause, now)
		if aside {
			d.Refused = a.Envelope.From.String()
		}
		q.warn(&v.settlement, d, now)
	case len(v.reroute) > 0:
		d.Due = now
	case len(rest) == len(a.Delivery.pending()) && d.InDoubt == a.Delivery.InDoubt:
		v.new = v.old // interrupted by Stop: as if it had not been
	}
	q.tell(&v.settlement, d, &out.Event, number, later(d.Due, pause), now)
	standFor(v.events)
	q.reportFailures(&v.settlement, d, number, now)
	q.reportRelayed(&v.settlement, d, a, out, number, now)
	return v
}

// apportion writes the results into the recipients' states.
func (q *Queue) apportion(v *ruling, a *attempting, out *Outcome, now time.Time) {
	stopping, stopped := q.opening.Err() != nil, q.ctx.Err() != nil
	for i, index := range a.Pending {
		rcpt, r := v.new.recipient(index), out.Results[i]
		if r.Verdict == Reroute && q.destination(a.Envelope, index) == a.Delivery.Destination {
			r = Result{Verdict: Defer, Reason: "the route has changed"}
		}
		switch r.Verdict {
		case Again:
			v.again = append(v.again, index)
			continue
		case Reroute:
			v.reroute = append(v.reroute, index)
			continue
		case Success:
			rcpt.State = Delivered
		case Bounce:
			rcpt.State = failed(a.Envelope, Bounced)
		default:
			if stopped {
				continue
			}
			rcpt.State, v.deferred = Deferred, true
		}
		rcpt.Reply, rcpt.Host, rcpt.Reason, rcpt.At = r.Reply, r.Host, r.Reason, now
	}
	if len(v.again) == len(a.Pending) && !stopping {
		// Without progress the next hop would be asked for ever.
		for _, index := range v.again {
			rcpt := v.new.recipient(index)
			rcpt.State, rcpt.Reason, rcpt.At = Deferred, "no recipient was taken", now
		}
		v.again, v.deferred = nil, true
	}
	if stopping {
		v.again = nil
	}
}

// failed returns the state of a recipient given up for good: as it is, or Dead
// where there is nobody to tell (RFC 5321 4.5.5), so that an operator can look.
func failed(e *mail.Envelope, s State) State {
	if e.From.IsNull() {
		return Dead
	}
	return s
}

// expire gives up what has been deferred for too long. The fault of a route is
// waited out, and so is a smarthost that does not know the sender yet.
func (q *Queue) expire(v *ruling, f Fault, now time.Time) {
	d := v.new
	if f == RouteFault || f == SenderRefused || q.clock.age(d.Arrival, now) < q.plan().Lifetime {
		return
	}
	for i := range d.Recipients {
		if r := &d.Recipients[i]; r.State == Deferred {
			r.State, r.At = failed(v.envelope, Expired), now
		}
	}
}

// nextAttempt returns when d, which was deferred, is due again. The last attempt
// falls on the end of its lifetime. If the destination is in trouble d stays due:
// then the destination's pause decides, and all of its mail flows as soon as
// the pause ends well; it is the same with a refused sender's.
func (q *Queue) nextAttempt(d *Delivery, pause, now time.Time) time.Time {
	if !pause.IsZero() {
		return now
	}
	left := q.plan().Lifetime - q.clock.age(d.Arrival, now)
	wait := q.plan().wait(d.Attempts)
	if left > 0 {
		wait = min(wait, left)
	}
	return now.Add(wait).Truncate(time.Millisecond)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
