package queue

import (
	"context"
	"errors"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue/bounce"
)

// settlement is one change of one delivery with all that belongs to it: what is
// stored instead, the reports that must be durable with it, the events that are
// told after it. Attempts, operators and sweeps all change deliveries by
// settlements, and only while they hold the delivery's claim.
type settlement struct {
	envelope *mail.Envelope
	old      *Delivery
	new      *Delivery        // nil: ended; old: unchanged
	leaving  []RecipientState // of old, that go elsewhere now, see part
	reports  []*bounce.Report
	events   []mail.Event
	// keep says that the claim is kept, for the rest of the attempt.
	keep bool
}

// born is a message that a commit creates, on its way to the schedule.
type born struct {
	message NewMessage
	fresh   []fresh
}

// apply makes all the settlements durable in one commit, then tells the schedule,
// then records the events. After an error nothing has changed and the claims
// are still held.
func (q *Queue) apply(sync bool, all ...*settlement) error {
	c := Change{Sync: sync}
	var mail []born
	for _, s := range all {
		if len(s.leaving) > 0 {
			b, err := q.copyLeaving(s)
			switch {
			case errors.Is(err, errUnread):
				q.log.Error("new routes would divide a message", "id", s.old.Message.String(), "err", err)
				s.stayTogether()
			case err != nil:
				q.discard(mail)
				return err
			default:
				mail = append(mail, b)
				c.Create = append(c.Create, b.message)
				c.Sync = true
			}
		}
		switch {
		case s.new == nil:
			c.Remove = append(c.Remove, s.old)
		case s.new != s.old:
			c.Put = append(c.Put, Move{Old: s.old, New: s.new})
		}
		for _, r := range s.reports {
			b, err := q.writeReport(r)
			if err != nil {
				q.discard(mail)
				return err
			}
			mail = append(mail, b)
			c.Create = append(c.Create, b.message)
			c.Sync = true
		}
	}
	for _, b := range mail {
		q.sched.expect(b.message.Deliveries)
	}
	if err := q.commit(&c); err != nil {
		q.discard(mail)
		return err
	}
	q.enter(mail)
	q.conclude(all)
	return nil
}

// conclude tells the schedule what has been stored, records the events, and does what
// operators asked for meanwhile.
func (q *Queue) conclude(all []*settlement) {
	wished := q.sched.settled(all)
	for _, s := range all {
		for _, e := range s.events {
			q.recorder.Record(e)
		}
	}
	for _, s := range wished {
		q.grant(s)
	}
}

// commit stores c and remembers whether the store is able to. The store itself takes
// back what creates messages and nothing else.
func (q *Queue) commit(c *Change) error {
	if len(c.Create)+len(c.Put)+len(c.Remove)+len(c.Meta) == 0 {
		return nil
	}
	err := q.store.Commit(context.Background(), c)
	q.space.note(err, c)
	if err != nil && len(c.Put)+len(c.Remove) > 0 {
		q.doubtful.Store(true)
	}
	return err
}

func (q *Queue) discard(mail []born) {
	for _, b := range mail {
		q.sched.forsake(b.message.Deliveries)
		b.message.Content.Discard()
	}
}

// enter hands new messages, which are durable, to the schedule.
func (q *Queue) enter(mail []born) {
	if len(mail) == 0 {
		return
	}
	for i := range mail {
		b := &mail[i]
		b.fresh = q.freshen(b.message.Envelope, b.message.Deliveries, b.message.Content)
		b.message.Content.Discard()
		q.tellAccepted(b)
	}
	q.sched.enter(mail)
}

// settled tells the schedule what has been stored. It returns the settlements of
// deliveries that an operator wants something done with; their claims are kept.
func (s *scheduler) settled(all []*settlement) (wished []*settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range all {
		if t.new != t.old {
			s.remove(t.old)
		}
		if t.keep {
			continue
		}
		if len(s.claimed[t.old.DeliveryKey]) > 0 && t.new != nil {
			wished = append(wished, t)
			continue
		}
		delete(s.claimed, t.old.DeliveryKey)
		if t.new != nil {
			s.insert(t.new, nil)
		}
	}
	return wished
}

// enter takes up deliveries that have just been created.
func (s *scheduler) enter(mail []born) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range mail {
		for i, d := range b.message.Deliveries {
			delete(s.claimed, d.DeliveryKey)
			var f *fresh
			if b.fresh != nil {
				f = &b.fresh[i]
			}
			s.insert(d, f)
		}
	}
}

// expect claims deliveries that are about to be created, so that none is read
// and started between the commit and enter.
func (s *scheduler) expect(deliveries []*Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range deliveries {
		s.claimed[d.DeliveryKey] = nil
	}
}

// forsake gives up what expect claimed.
func (s *scheduler) forsake(deliveries []*Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range deliveries {
		delete(s.claimed, d.DeliveryKey)
	}
}
