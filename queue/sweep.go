package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// sweepPage is how many messages a sweep, a re-keying or an operator's command
// reads at a time and changes in one commit.
const sweepPage = 256

// sweep looks after mail that grows old without being attempted: it warns senders
// and expires what waits for a destination that takes nothing. Mail that is attempted
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

// eachOld has visit look at the messages that are at least so old, from an ID on,
// page by page until it returns false. In order of arrival it would end at the
// first younger one. IDs in the future are from before the clock was set back, and
// theirs may be older, so it goes on with them.
func (q *Queue) eachOld(from mail.ID, least time.Duration, visit func([]Message) bool) {
	future := q.future()
	for q.ctx.Err() == nil {
		messages, err := q.store.Messages(q.ctx, from, sweepPage)
		if err != nil {
			q.log.Error("looking for old mail", "err", err)
			return
		}
		if len(messages) == 0 {
			return
		}
		from = messages[len(messages)-1].ID.Next()
		now := q.clock.now()
		old := messages[:0]
		for _, m := range messages {
			if q.clock.age(m.Arrival, now) >= least {
				old = append(old, m)
			} else if m.ID.Compare(future) < 0 {
				from = future
				break
			}
		}
		if len(old) > 0 && !visit(old) {
			return
		}
	}
}

// future is the first ID that no message has unless the clock was set back.
func (q *Queue) future() mail.ID { return mail.FirstID(q.clock.now().Add(time.Millisecond)) }

// sweepWarnings goes on where the last one ended: each message is looked at once,
// when it is old enough. A place in the future is no place: the clock was ahead.
func (q *Queue) sweepWarnings() {
	from := *q.warned.Load()
	if from.Compare(q.future()) > 0 {
		from = mail.ID{}
	}
	q.eachOld(from, q.plan().WarnAfter, func(old []Message) bool {
		end := old[len(old)-1].ID.Next()
		if !q.changeEach(old, q.warnOne) {
			return false
		}
		if end.Compare(q.future()) <= 0 {
			q.warned.Store(&end)
		}
		return true
	})
}

// warnOne returns the settlement that tells the sender of d's delay, or nil.
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

// sweepExpired gives up what is past its lifetime at destinations that take nothing.
// It begins with the oldest message each time.
func (q *Queue) sweepExpired(down map[Destination]trouble) {
	expire := func(e *mail.Envelope, d *Delivery) *settlement { return q.expireOne(e, d, down) }
	q.eachOld(mail.ID{}, q.plan().Lifetime, func(old []Message) bool {
		return q.changeEach(old, expire)
	})
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
// those. It is asked about m as it was read first, so that no other delivery is
// claimed and read again.
func (q *Queue) changesOf(m Message, change func(*mail.Envelope, *Delivery) *settlement) (all []*settlement) {
	for _, d := range m.Deliveries {
		if change(m.Envelope, d) == nil {
			continue
		}
		if s, _ := q.changeOne(m.Envelope, d, noWish, change); s != nil { // whoever attempts it finds out
			all = append(all, s)
		}
	}
	return all
}

// changeOne claims the delivery that was seen as d and returns what change makes of
// it, or nil. With a settlement the claim is kept for it. An error says that it can't
// be read just now.
func (q *Queue) changeOne(e *mail.Envelope, d *Delivery, w wish, change func(*mail.Envelope, *Delivery) *settlement) (*settlement, error) {
	if !q.sched.claim(d.DeliveryKey, w) {
		return nil, nil
	}
	now, err := q.store.Delivery(q.ctx, d.DeliveryKey) // as it is now that it is ours
	switch {
	case errors.Is(err, ErrNotFound):
		q.sched.release(d.DeliveryKey)
		return nil, nil
	case err != nil:
		q.sched.unclaim(d)
		return nil, err
	}
	s := change(e, now)
	if s == nil {
		q.sched.unclaim(now)
	}
	return s, nil
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
