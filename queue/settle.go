package queue

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"
)

// Bounds of the pause between attempts at storing what could not be stored.
const (
	firstResettle = time.Second
	lastResettle  = 30 * time.Second
)

// maxUnsettled is how many settlements may lack space while attempts go on.
const maxUnsettled = 100

// settle stores what an attempt led to. If the store can't, the settlement is
// kept in memory, with its claim, so that nothing is attempted a second time
// meanwhile, and no new attempt begins anywhere until it has been stored, or space is
// all it lacks: so what is kept is little. It reports whether the settlement is
// durable.
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
	mu     sync.Mutex // guards the rest
	list   []*settlement
	halted bool          // attempts wait for them
	wake   chan struct{} // tells the keeper that they do
}

func (u *unsettled) add(q *Queue, s *settlement) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.list = append(u.list, s)
	if u.halted {
		return
	}
	u.halted = true
	q.sched.halt()
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// all returns them, the oldest first.
func (u *unsettled) all() []*settlement {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.list)
}

func (u *unsettled) len() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.list)
}

func (u *unsettled) done(s *settlement) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.list = slices.DeleteFunc(u.list, func(t *settlement) bool { return t == s })
}

// goOn lets attempts go on unless too many are left.
func (u *unsettled) goOn(q *Queue) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.halted && len(u.list) <= maxUnsettled {
		u.halted = false
		q.sched.resume()
	}
}

// resettle tries to store what is unsettled, the oldest first. It reports whether
// all is stored. What lacks space waits for it; attempts go on meanwhile, since they
// free some. A settlement that the store refuses for another reason while it works is
// given up, and nothing else waits for it.
func (q *Queue) resettle() bool {
	for _, s := range q.unsettled.all() {
		err := q.applyAgain(s)
		switch {
		case err == nil:
			q.unsettled.done(s)
		case q.probeStore() != nil:
			return false
		case !errors.Is(err, ErrNoSpace):
			q.leaveToOperator(s, err)
			q.unsettled.done(s)
		}
	}
	q.unsettled.goOn(q)
	return q.unsettled.len() == 0
}

// applyAgain applies s, a commit of which has failed. If that was on the disk in
// whole after all nothing is left to be stored: its reports must not be made twice.
func (q *Queue) applyAgain(s *settlement) error {
	stored, err := q.store.Delivery(context.Background(), s.old.DeliveryKey)
	if err == nil && !reflect.DeepEqual(stored, s.new) {
		err = q.apply(false, s)
		if err == nil {
			return nil
		}
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	q.conclude([]*settlement{s})
	return nil
}

// reread takes up the schedule as it is stored, once the store works again: a change
// that failed may have been on the disk in whole after all, with reports that nobody
// knows of. It reports whether it could.
func (q *Queue) reread() bool {
	err := q.probeStore()
	if err == nil {
		err = q.store.Lanes(q.ctx, q.sched.restore)
	}
	if err != nil {
		q.log.Error("reading the schedule", "err", err)
	}
	return err == nil
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
