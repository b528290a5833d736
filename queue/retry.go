package queue

import (
	"math/rand/v2"
	"time"

	"github.com/postrider/postrider/internal/config"
)

// jitter is the part of an interval by which it is made longer or shorter at
// random, so that what failed together does not come back together.
const jitter = 0.1

// retryPlan is the clock of what has failed: retry.intervals, retry.lifetime and
// retry.warn_after.
type retryPlan struct {
	config.Retry
}

// interval returns the time to wait after the nth failure in a row, counted from
// 1, without jitter. The last interval repeats.
func (r *retryPlan) interval(n int) time.Duration {
	if len(r.Intervals) == 0 {
		return 15 * time.Minute
	}
	return r.Intervals[min(max(n, 1), len(r.Intervals))-1]
}

// wait is interval with jitter.
func (r *retryPlan) wait(n int) time.Duration {
	d := r.interval(n)
	return d + time.Duration((rand.Float64()*2-1)*jitter*float64(d))
}

// horizon is the longest time that anything can rightly have to wait. A due time
// beyond it was written before the clock was set back, or under longer
// intervals than are in force now.
func (r *retryPlan) horizon() time.Duration {
	longest := time.Duration(0)
	for n := range max(len(r.Intervals), 1) {
		longest = max(longest, r.interval(n+1))
	}
	return longest + time.Duration(jitter*float64(longest)) + time.Minute
}

// due reports whether the time at has come.
func (r *retryPlan) due(at, now time.Time) bool {
	return !at.After(now) || at.Sub(now) > r.horizon()
}
