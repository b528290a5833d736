package queue

import (
	"errors"
	"fmt"
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
		q.part(&v.settlement)
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

// settledBefore ends a settlement whose delivery has gone: the commit that failed
// was on the disk in whole after all. Reports it created are found by reading
// the schedule anew.
func (q *Queue) settledBefore(s *settlement) {
	q.sched.release(s.old.DeliveryKey)
	for _, e := range s.events {
		q.recorder.Record(e)
	}
	if err := q.store.Lanes(q.ctx, q.sched.restore); err != nil {
		q.log.Error("reading the schedule", "err", err)
	}
}

// resettle tries to store what is unsettled, the oldest first. It reports
// whether all is stored. A settlement that the store refuses while it takes
// others is given up, and nothing else waits for it.
func (q *Queue) resettle() bool {
	for {
		s := q.unsettled.first()
		if s == nil {
			return true
		}
		err := q.apply(false, s)
		switch {
		case err == nil:
		case errors.Is(err, ErrNotFound):
			q.settledBefore(s)
		case q.probeStore() != nil:
			return false
		default:
			q.leaveToOperator(s, err)
		}
		q.unsettled.done(q)
	}
}

// leaveToOperator makes a delivery Dead whose settlement can't be stored: to try it
// again could deliver it twice. If not even that can be stored its claim stays, so
// that it is left alone until the next start.
func (q *Queue) leaveToOperator(s *settlement, cause error) {
	cause = fmt.Errorf("it may have been delivered; what came of the attempt can't be stored: %w", cause)
	err := q.apply(false, q.buried(s.envelope, s.old, cause))
	q.log.Error("a delivery can't be settled", "id", s.old.Message.String(), "delivery", s.old.Number,
		"err", cause, "left_alone_until_next_start", err != nil)
}
