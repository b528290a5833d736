package queue

import (
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the clock's judgement.
const (
	// stepSize is the least difference between the wall clock and the queue's
	// that is a step rather than a correction.
	stepSize = time.Minute
	// absence is the least time between the last sign of life before a start
	// and that start that counts as a gap.
	absence = 10 * time.Minute
	// maxGaps is how many gaps are remembered. The oldest go first, and mail that is
	// older than them is the older for it: a relay that was off or had its clock set
	// so often within a message's lifetime tries that no longer than it promised.
	maxGaps = 32
)

// clock is the time the queue goes by. Within the process it follows the
// monotonic clock, so that a step of the wall clock cannot reach into the middle
// of a decision; tick adopts the wall clock's opinion at a moment of the queue's
// choosing and remembers the step as a gap. Ages leave gaps out: neither a step
// nor a night without power makes mail old. The gaps are kept in the store.
//
// Times are UTC, to the millisecond, without a monotonic reading, as the store
// keeps them.
type clock struct {
	wall   func() time.Time
	start  time.Time    // has a monotonic reading
	base   time.Time    // the wall time at start
	offset atomic.Int64 // nanoseconds adopted since
	mu     sync.RWMutex // guards gaps
	gaps   []gap        // in the order they were found
}

// gap is a stretch in which the wall clock moved and the queue did not: a step of
// the clock, or an absence of the relay. At is the last time seen before it; mail may
// have arrived after that, up to a crash. A negative Size is a step back.
type gap struct {
	At   time.Time     `json:"at"`
	Size time.Duration `json:"size"`
}

// clockState is what survives a restart.
type clockState struct {
	Seen time.Time `json:"seen"`
	Gaps []gap     `json:"gaps,omitempty"`
}

func newClock(wall func() time.Time) *clock {
	return &clock{wall: wall, start: time.Now(), base: wall().Round(0).UTC()}
}

func (c *clock) now() time.Time {
	elapsed := time.Since(c.start) + time.Duration(c.offset.Load())
	return c.base.Add(elapsed).Truncate(time.Millisecond)
}

// tick compares with the wall clock and follows it. It returns the step, if there
// was one.
func (c *clock) tick() (step time.Duration) {
	now := c.now()
	drift := c.wall().Round(0).Sub(now)
	c.offset.Add(int64(drift))
	if drift.Abs() < stepSize {
		return 0
	}
	c.addGap(gap{At: now, Size: drift})
	return drift
}

func (c *clock) addGap(g gap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gaps = append(c.gaps, g)
	if n := len(c.gaps) - maxGaps; n > 0 {
		c.gaps = c.gaps[n:]
	}
}

// resume takes up the state saved by an earlier process. The time between is a
// gap if it is long or negative: whether the relay was off or the clock was set
// cannot be told, and mail must not expire by either.
func (c *clock) resume(saved []byte) error {
	if saved == nil {
		return nil
	}
	var s clockState
	if err := json.Unmarshal(saved, &s); err != nil {
		return err
	}
	c.mu.Lock()
	c.gaps = s.Gaps
	c.mu.Unlock()
	if away := c.now().Sub(s.Seen); away >= absence || away <= -stepSize {
		c.addGap(gap{At: s.Seen, Size: away})
	}
	return nil
}

// save returns what resume takes.
func (c *clock) save() []byte {
	c.mu.RLock()
	defer c.mu.RUnlock()
	b, err := json.Marshal(clockState{Seen: c.now(), Gaps: c.gaps})
	if err != nil {
		panic("queue: " + err.Error()) // times and durations always marshal
	}
	return b
}

// age returns for how long mail that arrived at the given time has been here,
// without the gaps since. Where a step back leaves two readings it takes the
// shorter: rather keep a message too long than return it too soon.
func (c *clock) age(arrival, now time.Time) time.Duration {
	age := now.Sub(arrival)
	c.mu.RLock()
	defer c.mu.RUnlock()
	back := false // the clock was set back since
	for _, g := range slices.Backward(c.gaps) {
		end := g.At.Add(g.Size)
		back = back || g.Size < 0
		switch {
		case g.Size < 0 && (arrival.Before(end) || arrival.After(now)):
			age -= g.Size
		case g.Size > 0 && !arrival.After(g.At):
			age -= g.Size
		case g.Size > 0 && arrival.Before(end) && !back:
			age -= end.Sub(arrival) // it came after At, and before a crash
		}
	}
	return max(age, 0)
}

// continuousSince returns the end of the last gap, or zero if there was none: what
// was observed before it says nothing about now.
func (c *clock) continuousSince() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if len(c.gaps) == 0 {
		return time.Time{}
	}
	g := c.gaps[len(c.gaps)-1]
	return g.At.Add(g.Size)
}
