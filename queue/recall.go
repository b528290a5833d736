package queue

import (
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// recall makes due what stands in the schedule beyond the horizon: it got there
// before the clock was set back, or under longer intervals. A lane is read from
// its beginning up to the first that is not due, and would not come to it. It
// reports whether nothing is left; what is being attempted is.
func (q *Queue) recall() bool {
	var lanes []Lane
	err := q.store.Lanes(q.ctx, func(l Lane, _ time.Time) error {
		lanes = append(lanes, l)
		return nil
	})
	if err != nil {
		q.log.Error("reading the schedule", "err", err)
		return false
	}
	all := true
	for _, l := range lanes {
		all = q.recallLane(l) && all
	}
	return all
}

func (q *Queue) recallLane(l Lane) bool {
	after := Place{Due: q.clock.now().Add(q.plan().horizon())}
	all := true
	for q.ctx.Err() == nil {
		places, err := q.store.Due(q.ctx, l, after, after.Due.Add(forever), sweepPage)
		if err != nil {
			q.log.Error("reading the schedule", "destination", l.Destination.String(), "err", err)
			return false
		}
		if len(places) == 0 {
			return all
		}
		all = q.recallPage(places) && all
		after = places[len(places)-1]
	}
	return false
}

func (q *Queue) recallPage(places []Place) bool {
	q.hands.Lock()
	defer q.hands.Unlock()
	all := true
	var page []*settlement
	for _, p := range places {
		d, err := q.store.Delivery(q.ctx, p.DeliveryKey)
		if err != nil {
			continue // finished, or whoever attempts it finds out
		}
		e, err := q.store.Envelope(q.ctx, p.Message)
		if err != nil {
			continue
		}
		if s, _ := q.changeOne(e, d, noWish, q.recallOne); s != nil {
			page = append(page, s)
		} else {
			all = false
		}
	}
	return q.applyOrLeave(false, page) == nil && all
}

// recallOne returns the settlement that makes d due, or nil.
func (q *Queue) recallOne(e *mail.Envelope, d *Delivery) *settlement {
	now := q.clock.now()
	if !d.scheduled() || !d.Due.After(now) {
		return nil
	}
	s := &settlement{envelope: e, old: d, new: d.clone()}
	s.new.Due = now
	return s
}
