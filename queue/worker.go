package queue

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// work does jobs until there are none. Workers exist only while there is work.
func (q *Queue) work() {
	defer q.running.Done()
	for {
		j, ok := q.sched.next()
		if !ok {
			return
		}
		if j.read {
			q.readPage(j)
		} else {
			q.attempt(j)
		}
	}
}

// readPage reads on in a lane.
func (q *Queue) readPage(j job) {
	now := q.clock.now()
	places, err := q.store.Due(q.ctx, j.lane.Lane, j.after, now.Add(forever), pageSize)
	if err != nil {
		if q.ctx.Err() == nil {
			q.log.Error("reading the schedule", "destination", j.lane.Destination.String(), "err", err)
		}
		q.sched.unreadable(j.lane, now.Add(unreadPause))
		return
	}
	q.sched.loaded(j.lane, places)
}

// forever is later than anything is due.
const forever = 100 * 365 * 24 * time.Hour

// attempt carries one delivery and settles it. It goes on at once with recipients
// that the next hop wants in a further transaction.
func (q *Queue) attempt(j job) {
	defer q.sched.leave(j)
	defer q.survive(j)
	a, err := q.open(j)
	if err != nil {
		q.unopened(a, j, err)
		return
	}
	defer a.close()
	if q.standAside(j, a) {
		return
	}
	for {
		began := q.clock.now()
		out := q.carry(a)
		if err := a.content.damage(); err != nil && !took(&out) {
			q.bury(a, err) // it would be no better next time
			return
		}
		if out.Wait > 0 {
			q.sched.pause(j.lane.hop, began.Add(out.Wait+time.Millisecond).Truncate(time.Millisecond))
			q.giveBack(a)
			return
		}
		pause, aside := q.observe(j.lane.hop, a, &out, began)
		v := q.judge(a, &out, pause, aside)
		if !q.settle(v) || len(v.again) == 0 {
			return
		}
		a.Delivery, a.Pending, a.deferred = v.new, v.again, v.deferred
	}
}

// survive keeps a panic about one delivery from ending the relay, at each of its
// starts. What the attempt came to is not known any more, so the delivery keeps its
// claim: not attempted again in this process, nobody gets it twice over and over.
func (q *Queue) survive(j job) {
	if p := recover(); p != nil {
		q.logPanic(j.entry.DeliveryKey, p)
		q.log.Error("delivery left alone until the next start", "id", j.entry.Message.String())
	}
}

func (q *Queue) logPanic(key DeliveryKey, p any) {
	q.log.Error("panic in a delivery", "id", key.Message.String(), "delivery", key.Number,
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// carry has the Deliverer do its work. A panic in it defers the delivery.
func (q *Queue) carry(a *attempting) (out Outcome) {
	defer func() {
		if p := recover(); p != nil {
			q.logPanic(a.Delivery.DeliveryKey, p)
			out = deferAll(len(a.Pending), "internal error")
		}
	}()
	out = q.deliverer.Deliver(q.ctx, &a.Attempt)
	if len(out.Results) != len(a.Pending) && out.Wait <= 0 {
		q.log.Error("a delivery has not answered for each recipient", "id", a.Delivery.Message.String(),
			"recipients", len(a.Pending), "results", len(out.Results))
		out.Results = deferAll(len(a.Pending), "internal error").Results
	}
	return out
}

func deferAll(n int, reason string) Outcome {
	out := Outcome{Results: make([]Result, n)}
	for i := range out.Results {
		out.Results[i].Reason = reason
	}
	return out
}

// observe tells the schedule how the destination did, and the log if that is
// news. It returns when the destination is tried next if that, and not the
// delivery's own clock, decides about its next attempt, and whether the sender's
// mail stands aside. A delivery that alone says something of the destination waits by
// its own clock.
func (q *Queue) observe(h *hop, a *attempting, out *Outcome, began time.Time) (pause time.Time, aside bool) {
	if q.ctx.Err() != nil {
		return time.Time{}, false // what a stopped attempt says is not the next hop's fault
	}
	tried := false
	for i := range out.Results {
		tried = tried || out.Results[i].Verdict != Reroute && !q.interrupted(out.Results[i].Verdict)
	}
	sender := a.Envelope.From.String()
	t := trouble{fault: out.Fault, reply: out.FaultReply, host: out.Event.Host, reason: out.FaultReason, by: a.Delivery.DeliveryKey}
	if t.fault == NoFault && !tried {
		return time.Time{}, false
	}
	o := q.sched.observe(h, t, sender, took(out), began)
	if o.news {
		q.logStatus(h.Destination, o.status, t, o.next)
	}
	switch {
	case o.refused:
		q.log.Error("sender refused by the smarthost", "route", h.Route, "sender", plainPath(sender),
			"host", t.host, "reason", t.String())
	case o.taken:
		q.log.Info("sender accepted by the smarthost again", "route", h.Route, "sender", plainPath(sender))
	}
	pause = o.aside
	if (t.fault == Unreachable || o.status == Suspended) && !o.sole {
		pause = later(o.next, pause)
	}
	return pause, !o.aside.IsZero()
}

// took reports whether anybody was delivered to.
func took(out *Outcome) bool {
	return slices.ContainsFunc(out.Results, func(r Result) bool { return r.Verdict == Success })
}

// plainPath is a path without its brackets, as events have it.
func plainPath(path string) string {
	if path == nullSender {
		return path
	}
	return strings.TrimSuffix(strings.TrimPrefix(path, "<"), ">")
}

// interrupted reports whether a recipient with this verdict was only not tried
// because the queue stops.
func (q *Queue) interrupted(v Verdict) bool { return v == Again && q.opening.Err() != nil }

// logStatus says that a destination's status has changed. A suspended route is an
// alarm: somebody has to act.
func (q *Queue) logStatus(d Destination, s Status, t trouble, next time.Time) {
	switch s {
	case Up:
		q.log.Info("destination works again", "destination", d.String())
	case Suspended:
		q.log.Error("route suspended", "route", d.Route, "destination", d.String(),
			"host", t.host, "reason", t.String(), "probe", next)
	default:
		q.log.Warn("destination "+s.String(), "destination", d.String(),
			"host", t.host, "reason", t.String(), "probe", next)
	}
}

// attempting is an attempt with what the queue has to know about it.
type attempting struct {
	Attempt
	fresh   *fresh
	content readContent // what Attempt.Content reads through
	// deferred says that an earlier transaction of the same attempt deferred
	// recipients.
	deferred bool
	// table is the route table's generation when the attempt began.
	table uint64
}

func (a *attempting) close() {
	if a.fresh != nil {
		a.fresh.drop()
	} else if a.Content != nil {
		_ = a.Content.Close() // it was only read
	}
}

var errStale = errors.New("not due here any more")

// open collects what the attempt needs, from memory or from the store.
func (q *Queue) open(j job) (*attempting, error) {
	a := &attempting{fresh: j.entry.fresh, table: q.table.Load()}
	a.Opening = q.opening
	if f := a.fresh; f != nil {
		a.Delivery, a.Envelope, a.Pending = f.delivery, f.envelope, f.delivery.pending()
		a.read(f.content)
		return a, nil
	}
	d, err := q.store.Delivery(q.ctx, j.entry.DeliveryKey)
	if err != nil {
		return nil, err
	}
	a.Delivery, a.Pending = d, d.pending()
	stale := comparePlaces(d.place(), j.entry.Place) != 0 || d.Lane() != j.lane.Lane || !d.scheduled()
	a.Envelope, err = q.store.Envelope(q.ctx, d.Message)
	switch {
	case stale:
		return a, errStale
	case err != nil:
		return a, err
	}
	content, err := q.store.Content(q.ctx, d.Message)
	if err != nil {
		return a, err
	}
	a.read(content)
	return a, nil
}

// read has the Deliverer read c.
func (a *attempting) read(c Content) {
	a.content.Content = c
	a.Content = &a.content
}

// readContent is content that remembers whether it turned out to be damaged.
type readContent struct {
	Content
	damaged atomic.Pointer[error]
}

// ReadAt implements Content.
func (c *readContent) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Content.ReadAt(p, off)
	if err != nil && errors.Is(err, ErrDamaged) {
		c.damaged.Store(&err)
	}
	return n, err
}

// damage returns what a read found damaged; nil if none did.
func (c *readContent) damage() error {
	if err := c.damaged.Load(); err != nil {
		return *err
	}
	return nil
}

// unopened deals with a delivery that could not be collected for its attempt.
func (q *Queue) unopened(a *attempting, j job, err error) {
	key := j.entry.DeliveryKey
	switch {
	case errors.Is(err, errStale):
		q.giveBack(a) // moved since its place was read
	case errors.Is(err, ErrNotFound):
		q.sched.release(key) // finished since
	case errors.Is(err, ErrDamaged) && a != nil:
		q.bury(a, err)
	case errors.Is(err, ErrDamaged):
		// Nothing of it can be written either; "queue verify" shows it.
		q.log.Error("damaged delivery left alone", "id", key.Message.String(), "err", err)
		q.sched.release(key)
	default:
		if q.ctx.Err() == nil {
			q.log.Error("reading a delivery", "id", key.Message.String(), "err", err)
		}
		for q.sched.postpone(j) {
			if a != nil && a.Envelope != nil {
				q.giveBack(a)
				return
			}
			q.log.Error("what an operator asked for is not done", "id", key.Message.String(), "err", err)
			q.sched.dismiss(key)
		}
	}
}

// giveBack gives up the claim of a delivery that was not tried, after what
// operators asked for meanwhile was done. Where the schedule has it now is where
// it goes: whoever met it elsewhere has left it to the holder of its claim.
func (q *Queue) giveBack(a *attempting) {
	if a.Envelope == nil {
		q.sched.unclaim(a.Delivery) // unreadable: whoever attempts it finds out
		return
	}
	q.settle(&ruling{settlement: settlement{envelope: a.Envelope, old: a.Delivery, new: a.Delivery}, table: a.table})
}

// bury keeps a delivery whose message can't be read for the operator.
func (q *Queue) bury(a *attempting, cause error) {
	q.settle(&ruling{settlement: *q.buried(a.Envelope, a.Delivery, cause), table: a.table})
}

// buried returns the settlement that makes d Dead. e may be nil if it can't be read.
func (q *Queue) buried(e *mail.Envelope, d *Delivery, cause error) *settlement {
	now, dead := q.clock.now(), d.clone()
	dead.State = Dead
	for i := range dead.Recipients {
		if r := &dead.Recipients[i]; !r.State.Final() {
			r.State, r.Reason, r.At = Dead, cause.Error(), now
		}
	}
	var ev mail.Event
	if e != nil {
		ev = q.operatorEvent(mail.EventDead, e, d, mail.Domain{}, now)
	} else {
		ev = q.eventOf(mail.EventDead, nil, d, now)
		e = unreadableEnvelope(d)
	}
	ev.Err = cause
	return &settlement{envelope: e, old: d, new: dead, events: []mail.Event{ev}}
}
