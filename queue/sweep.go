package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/postrider/postrider/internal/mail"
)

// sweepPage is how many messages a sweep, a re-keying or an operator's command
// reads at a time and changes in one commit.
const sweepPage = 256

// sweep looks after mail that grows old without being attempted: it warns senders
// and expires what waits for a destination that is down. Mail that is attempted
// is judged at its attempt. Messages come in order of arrival, so a sweep reads
// only what is old enough.
func (q *Queue) sweep() {
	if q.plan().WarnAfter > 0 {
		q.sweepWarnings()
	}
	if down := q.sched.down(q.clock.continuousSince()); len(down) > 0 {
		q.sweepExpired(down)
	}
	if q.unsettled.len() == 0 {
		_ = q.commit(&Change{Meta: q.marks()}) // its error is noted
	}
}

// sweepWarnings goes on where the last one ended: each message is looked at once,
// when it is old enough.
func (q *Queue) sweepWarnings() {
	from := *q.warned.Load()
	for q.ctx.Err() == nil {
		messages, err := q.store.Messages(q.ctx, from, sweepPage)
		if err != nil {
			q.log.Error("looking for late mail", "err", err)
			return
		}
		old := messages[:0]
		now := q.clock.now()
		for _, m := range messages {
			if q.clock.age(m.Arrival, now) < q.plan().WarnAfter {
				break
			}
			old = append(old, m)
		}
		if len(old) == 0 || !q.changeEach(old, q.warnOne) {
			return
		}
		from = old[len(old)-1].ID.Next()
		q.warned.Store(&from)
		if len(old) < sweepPage {
			return
		}
	}
}

func (q *Queue) warnOne(e *mail.Envelope, d *Delivery) *settlement {
	if !d.scheduled() || d.Warned {
		return nil
	}
	s := &settlement{envelope: e, old: d, new: d.clone()}
	if q.warn(s, s.new, q.clock.now()); !s.new.Warned {
		return nil
	}
	return s
}

// sweepExpired gives up what is past its lifetime at destinations that are down.
// It begins with the oldest message each time.
func (q *Queue) sweepExpired(down map[Destination]trouble) {
	var from mail.ID
	expire := func(e *mail.Envelope, d *Delivery) *settlement { return q.expireOne(e, d, down) }
	for q.ctx.Err() == nil {
		messages, err := q.store.Messages(q.ctx, from, sweepPage)
		if err != nil {
			q.log.Error("looking for expired mail", "err", err)
			return
		}
		now := q.clock.now()
		n := 0
		for n < len(messages) && q.clock.age(messages[n].Arrival, now) >= q.plan().Lifetime {
			n++
		}
		if n == 0 || !q.changeEach(messages[:n], expire) || n < sweepPage {
			return
		}
		from = messages[n-1].ID.Next()
	}
}

// expireOne returns the settlement that gives d up, or nil.
func (q *Queue) expireOne(e *mail.Envelope, d *Delivery, down map[Destination]trouble) *settlement {
	t, ok := down[d.Destination]
	if !ok || !d.scheduled() {
		return nil
	}
	now := q.clock.now()
	n := d.clone()
	for i := range n.Recipients {
		r := &n.Recipients[i]
		if r.State.Final() || r.State == Dead {
			continue
		}
		r.State, r.At = failed(e, Expired), now
		r.Reply, r.Host, r.Reason = t.reply, t.host, t.reason
	}
	s := &settlement{envelope: e, old: d}
	if n.count(Dead) > 0 {
		n.State = Dead
		s.new = n
	}
	q.tell(s, n, &mail.Event{}, n.Attempts, now, now)
	q.reportFailures(s, n, n.Attempts, now)
	return s
}

// changeEach settles what change returns for each delivery of messages, all in
// one commit. Deliveries that are being attempted are left out. If that can't be
// stored while other things can, each message has a commit of its own, so that what
// is wrong with one holds up no other. It reports whether the store works.
func (q *Queue) changeEach(messages []Message, change func(*mail.Envelope, *Delivery) *settlement) bool {
	q.hands.Lock()
	defer q.hands.Unlock()
	var all []*settlement
	for _, m := range messages {
		all = append(all, q.changesOf(m, change)...)
	}
	if q.applyOrLeave(false, all) == nil {
		return true
	}
	for _, m := range messages {
		err := q.applyOrLeave(false, q.changesOf(m, change))
		if err == nil {
			continue
		}
		if q.probeStore() != nil {
			return false
		}
		q.log.Error("a message is left as it is", "id", m.ID.String(), "err", err)
	}
	return true
}

// changesOf claims the deliveries of m that change has a settlement for, and returns
// those.
func (q *Queue) changesOf(m Message, change func(*mail.Envelope, *Delivery) *settlement) (all []*settlement) {
	for _, d := range m.Deliveries {
		if s := q.changeOne(m.Envelope, d, noWish, change); s != nil {
			all = append(all, s)
		}
	}
	return all
}

// changeOne claims the delivery that was seen as d and returns what change makes of
// it, or nil. With a settlement the claim is kept for it.
func (q *Queue) changeOne(e *mail.Envelope, d *Delivery, w wish, change func(*mail.Envelope, *Delivery) *settlement) *settlement {
	if !q.sched.claim(d.DeliveryKey, w) {
		return nil
	}
	now, err := q.store.Delivery(q.ctx, d.DeliveryKey) // as it is now that it is ours
	switch {
	case errors.Is(err, ErrNotFound):
		q.sched.release(d.DeliveryKey)
		return nil
	case err != nil:
		q.sched.unclaim(d) // whoever attempts it finds out
		return nil
	}
	s := change(e, now)
	if s == nil {
		q.sched.unclaim(now)
	}
	return s
}

// applyOrLeave applies all, or leaves all as it was.
func (q *Queue) applyOrLeave(sync bool, all []*settlement) error {
	if len(all) == 0 {
		return nil
	}
	err := q.apply(sync, all...)
	if err != nil {
		for _, s := range all {
			q.sched.unclaim(s.old)
		}
	}
	return err
}

// marks are the values that let the next process go on where this one was.
func (q *Queue) marks() map[string][]byte {
	warned := *q.warned.Load()
	return map[string][]byte{metaClock: q.clock.save(), metaWarned: warned[:]}
}

func (q *Queue) loadWarned(ctx context.Context) error {
	b, err := q.store.Meta(ctx, metaWarned)
	if err != nil {
		return fmt.Errorf("reading how far the last sweep got: %w", err)
	}
	var id mail.ID
	if copy(id[:], b) != len(id) && b != nil {
		q.log.Warn("how far the last sweep got is unreadable", "err", errors.New("bad length"))
		id = mail.ID{}
	}
	q.warned.Store(&id)
	return nil
}
