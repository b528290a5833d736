package spool

import (
	"errors"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// compactions decide when Pebble may run a compaction: as Pebble's own scheduler
// does, but not soon after one has failed. Pebble v2.1.7 begins the next at once
// (compaction.go handleCompactFailure), and that is the same one again: a table
// that can't be read keeps a processor busy and fills the log.
type compactions struct {
	// damaged is told when one fails since something can't be read. It is called
	// under Pebble's locks.
	damaged func(error)

	// mu guards the rest. It is taken below Pebble's own locks, never above them.
	mu      sync.Mutex
	db      pebble.DBForCompaction
	running int
	failed  int       // in a row
	until   time.Time // none begins before
	timer   *time.Timer
	calls   sync.WaitGroup // of the timer into db
	closed  bool
}

// Pauses after failed compactions. They double; damage is there to stay.
const (
	failedFirst = time.Second
	failedMost  = time.Minute
)

var _ pebble.CompactionScheduler = (*compactions)(nil)

// Register implements pebble.CompactionScheduler.
func (c *compactions) Register(_ int, db pebble.DBForCompaction) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.db = db
}

// Unregister implements pebble.CompactionScheduler.
func (c *compactions) Unregister() {
	c.mu.Lock()
	c.closed = true
	if c.timer != nil && c.timer.Stop() {
		c.calls.Done()
	}
	c.mu.Unlock()
	c.calls.Wait()
}

// TrySchedule implements pebble.CompactionScheduler.
func (c *compactions) TrySchedule() (bool, pebble.CompactionGrantHandle) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.grant(), c
}

func (c *compactions) grant() bool {
	if c.closed || time.Now().Before(c.until) || c.running >= c.db.GetAllowedWithoutPermission() {
		return false
	}
	c.running++
	return true
}

// UpdateGetAllowedWithoutPermission implements pebble.CompactionScheduler. What
// waits is offered its turn when a compaction has ended.
func (c *compactions) UpdateGetAllowedWithoutPermission() {}

// ended takes the outcome of a compaction. Pebble calls it under its locks.
func (c *compactions) ended(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil || errors.Is(err, pebble.ErrCancelledCompaction) {
		c.failed = 0
		return
	}
	if isDamage(err) && c.damaged != nil {
		c.damaged(err)
	}
	pause := min(failedFirst<<min(c.failed, 10), failedMost)
	c.failed++
	c.until = time.Now().Add(pause)
	if c.closed || c.timer != nil {
		return
	}
	c.calls.Add(1)
	c.timer = time.AfterFunc(pause, c.resume)
}

// resume has Pebble go on with what it could not begin.
func (c *compactions) resume() {
	defer c.calls.Done()
	c.mu.Lock()
	c.timer = nil
	c.mu.Unlock()
	c.offer()
}

// Done implements pebble.CompactionGrantHandle. What was refused once is not asked
// for again (compaction.go maybeScheduleCompaction): it waits to be offered its turn.
func (c *compactions) Done() {
	c.mu.Lock()
	c.running--
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.calls.Add(1)
	c.mu.Unlock()
	defer c.calls.Done()
	c.offer()
}

// offer has Pebble begin what waits, as far as may be. The caller is counted in
// calls.
func (c *compactions) offer() {
	for {
		c.mu.Lock()
		granted := c.grant()
		c.mu.Unlock()
		if !granted {
			return
		}
		if waits, _ := c.db.GetWaitingCompaction(); waits && c.db.Schedule(c) {
			continue
		}
		c.mu.Lock()
		c.running--
		c.mu.Unlock()
		return
	}
}

// Started implements pebble.CompactionGrantHandle.
func (c *compactions) Started() {}

// MeasureCPU implements pebble.CompactionGrantHandle.
func (c *compactions) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements pebble.CompactionGrantHandle.
func (c *compactions) CumulativeStats(pebble.CompactionGrantHandleStats) {}
