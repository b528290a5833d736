package queue

import (
	"sync"
	"time"
)

// Bounds of the pause between attempts at storing what could not be stored.
const (
	firstResettle = time.Second
	lastResettle  = 30 * time.Second
)

// settle stores what an attempt led to. If the store can't, the settlement is
// kept in memory, with its claim, and no new attempt begins anywhere until it
// has been stored: so nothing is attempted a second time meanwhile, and what is
// kept is at most one settlement for each worker. It reports whether the
// settlement is durable.
func (q *Queue) settle(v *ruling) bool {
	if v.new != nil && v.new.scheduled() && !v.keep && (len(v.reroute) > 0 || v.table != q.table.Load()) {
		if err := q.part(&v.settlement); err != nil {
			q.log.Error("dividing a delivery by new routes", "id", v.old.Message.String(), "err", err)
			v.postpone(q.clock.now().Add(unreadPause))
		}
	}
	err := q.apply(false, &v.settlement)
	if err == nil {
		return true
	}
	v.keep = false // the rest of the attempt will be one of its own
	q.log.Error("settling a delivery", "id", v.old.Message.String(), "err", err)
	q.unsettled.add(q, &v.settlement)
	return false
}

// postpone makes the delivery due no earlier than at.
func (v *ruling) postpone(at time.Time) {
	if v.new == v.old {
		v.new = v.old.clone()
	}
	v.new.Due = later(v.new.Due, at)
}

// unsettled holds settlements that could not be stored yet.
type unsettled struct {
	mu   sync.Mutex // guards list
	list []*settlement
	wake chan struct{} // tells the keeper that there are some
}

func (u *unsettled) add(q *Queue, s *settlement) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.list) == 0 {
		q.sched.halt()
	}
	u.list = append(u.list, s)
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

func (u *unsettled) len() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.list)
}

// first returns the oldest, or nil.
func (u *unsettled) first() *settlement {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.list) == 0 {
		return nil
	}
	return u.list[0]
}

// done takes the oldest out and lets attempts go on after the last.
func (u *unsettled) done(q *Queue) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.list = u.list[1:]
	if len(u.list) == 0 {
		u.list = nil
		q.sched.resume()
	}
}

// resettle tries to store what is unsettled, the oldest first. It reports
// whether all is stored. A settlement that the store refuses while it takes
// others is given up: its claim stays, so that it is not attempted again before
// a restart, and nothing else waits for it.
func (q *Queue) resettle() bool {
	for {
		s := q.unsettled.first()
		if s == nil {
			return true
		}
		if err := q.apply(false, s); err != nil {
			if q.probeStore() != nil {
				return false
			}
			q.log.Error("a delivery can't be settled; left alone until the next start",
				"id", s.old.Message.String(), "delivery", s.old.Number, "err", err)
		}
		q.unsettled.done(q)
	}
}
