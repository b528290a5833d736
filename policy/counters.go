package policy

import (
	"maps"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/config"
)

// maxCounted bounds the identities whose messages are counted at once. They are
// all known by name, so only a relay of that many busy users gets there.
const (
	maxCounted = 100_000
	minSweep   = 1_000 // so many are not worth looking through
)

// Counters hold how much of its limits each identity has used under each
// policy. They live as long as the process and serve one Policy after another,
// so that a reload gives nobody a new allowance.
//
// A limit of 1000/hour is a bucket that holds 1000 and runs empty evenly within
// an hour: a burst of 1000 passes at once, after it one message every 3.6 s, and
// after a quiet hour a burst again. What is kept is what was used, so a limit
// that is changed applies to it at once.
type Counters struct {
	mu      sync.Mutex // guards what follows
	used    map[counterKey]usage
	sweepAt int // entries
}

type counterKey struct{ policy, identity string }

// usage is what two buckets hold, as of a time.
type usage struct {
	messages, bytes bucket
}

type bucket struct {
	level float64 // at the time at
	at    time.Time
	empty time.Time // when the level is zero again
}

// NewCounters returns counters at zero.
func NewCounters() *Counters {
	return &Counters{used: make(map[counterKey]usage), sweepAt: minSweep}
}

// quota is a limit: so much in a period. The zero quota is none.
type quota struct {
	most float64
	per  time.Duration
	text string // as in the configuration
}

func messageQuota(r config.Rate) quota         { return quota{float64(r.Count), r.Per, r.String()} }
func octetQuota(r config.SizeRate) quota       { return quota{float64(r.Size), r.Per, r.String()} }
func (q quota) none() bool                     { return q.per <= 0 }
func (q quota) drains(d time.Duration) float64 { return q.most * (float64(d) / float64(q.per)) }

// fills returns the time in which n is let through.
func (q quota) fills(n float64) time.Duration { return time.Duration(n / q.most * float64(q.per)) }

// levelAt returns what is left of b's content at now under q.
func (b bucket) levelAt(now time.Time, q quota) float64 {
	if b.level == 0 || q.none() {
		return 0
	}
	return max(0, b.level-q.drains(now.Sub(b.at)))
}

// room returns how long it takes until n fit under q; 0 if they fit now.
func (b bucket) room(now time.Time, q quota, n float64) time.Duration {
	if q.none() {
		return 0
	}
	if q.most <= 0 {
		return q.per
	}
	// A millionth of one is rounding, not use.
	over := b.levelAt(now, q) + n - q.most
	if over <= 1e-6 {
		return 0
	}
	return max(1, q.fills(over))
}

func (b *bucket) add(now time.Time, q quota, n float64) {
	if q.none() || q.most <= 0 {
		return
	}
	level := max(0, b.levelAt(now, q)+n)
	*b = bucket{level: level, at: now, empty: now.Add(q.fills(level))}
}

// shortage says which of two limits is in the way, and for how long.
type shortage struct {
	messages, bytes time.Duration
	full            bool // no room for one more identity
}

func (s shortage) none() bool { return s == shortage{} }

// peek tells what stands in the way of one more message of size octets.
func (c *Counters) peek(key counterKey, messages, bytes quota, size int64) shortage {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.used[key]
	return shortage{
		messages: u.messages.room(now, messages, 1),
		bytes:    u.bytes.room(now, bytes, float64(size)),
	}
}

// take counts one message of size octets, or nothing if either limit is in the
// way.
func (c *Counters) take(key counterKey, messages, bytes quota, size int64) shortage {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	u, known := c.used[key]
	s := shortage{
		messages: u.messages.room(now, messages, 1),
		bytes:    u.bytes.room(now, bytes, float64(size)),
		full:     !known && !c.makeRoom(now),
	}
	if s.none() {
		u.messages.add(now, messages, 1)
		u.bytes.add(now, bytes, float64(size))
		c.used[key] = u
	}
	return s
}

// makeRoom forgets, once their number has doubled, those whose buckets are empty.
// It reports whether one more may come.
func (c *Counters) makeRoom(now time.Time) bool {
	if len(c.used) >= c.sweepAt {
		maps.DeleteFunc(c.used, func(_ counterKey, u usage) bool {
			return !now.Before(u.messages.empty) && !now.Before(u.bytes.empty)
		})
		c.sweepAt = min(maxCounted, max(minSweep, 2*len(c.used)))
	}
	return len(c.used) < maxCounted
}

// giveBack takes back what take counted, for a message that was not kept.
func (c *Counters) giveBack(key counterKey, messages, bytes quota, size int64) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if u, ok := c.used[key]; ok {
		u.messages.add(now, messages, -1)
		u.bytes.add(now, bytes, -float64(size))
		c.used[key] = u
	}
}
