package queue

import (
	"time"
)

// keepEvery is how often the keeper looks at the clock, drops what is idle, and
// sweeps for mail that has grown old.
const keepEvery = time.Minute

// Keys in the store's Meta.
const (
	metaClock  = "clock"
	metaWarned = "warned-until" // the ID up to which delay reports have been sent
	metaRules  = "hold-rules"
)

// keep wakes lanes and destinations when their time comes and stores what could
// not be stored. It sleeps otherwise.
func (q *Queue) keep() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	every := time.NewTicker(keepEvery)
	defer every.Stop()
	var resettle <-chan time.Time
	pause := firstResettle
	for {
		if next, ok := q.sched.goOff(); ok {
			timer.Reset(max(next.Sub(q.clock.now()), time.Millisecond))
		} else {
			timer.Stop()
		}
		select {
		case <-q.stop:
			return
		case <-timer.C:
		case <-q.sched.wake:
		case <-every.C:
			q.checkClock()
			q.sched.forget()
		case <-q.unsettled.wake:
			pause = firstResettle
			resettle = time.After(pause)
		case <-resettle:
			resettle = nil
			if !q.resettle() {
				pause = min(2*pause, lastResettle)
				resettle = time.After(pause)
			}
		}
	}
}

// checkClock follows the wall clock, and looks at every due time anew if that was
// set.
func (q *Queue) checkClock() {
	if step := q.clock.tick(); step != 0 {
		q.log.Warn("the wall clock was set", "step", step)
		q.sched.follow(step)
		q.beyond.Store(true)
	}
}

// tend looks after messages that nobody attempts: it sweeps for what has grown
// old, moves what new routes send elsewhere and tries those that were broken, looks
// for what a failing disk may have stored, and recalls what a clock set back has left
// in the future. It may take its time.
func (q *Queue) tend() {
	every := time.NewTicker(keepEvery)
	defer every.Stop()
	var reopened int64
	for {
		select {
		case <-q.stop:
			return
		case <-q.moved:
			q.retryWitnesses()
			q.rekey()
		case <-every.C:
			now := q.store.Reopened()
			if (q.doubtful.Swap(false) || now != reopened) && !q.reread() {
				q.doubtful.Store(true)
			}
			reopened = now
			if q.beyond.Swap(false) && !q.recall() {
				q.beyond.Store(true)
			}
			if q.store.Used() > 0 {
				q.sweep()
			}
		}
	}
}
