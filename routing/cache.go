package routing

import (
	"sync"
	"time"
)

// Bounds on how long answers are kept and how many. What DNS says for longer
// than a day is asked again after one, what doesn't exist is asked for again
// within the hour: somebody may be repairing it. A TTL of zero still serves the
// few questions that one attempt asks.
const (
	maxCached      = 20_000
	maxTTL         = 24 * time.Hour
	minTTL         = time.Second
	maxNegativeTTL = time.Hour
)

// cache keeps answers until their TTL ends, at most limit of them.
type cache struct {
	limit int

	mu      sync.RWMutex // guards answers
	answers map[question]*Answer
}

func newCache(limit int) *cache {
	return &cache{limit: limit, answers: map[question]*Answer{}}
}

// get returns the answer if it still holds at now.
func (c *cache) get(q question, now time.Time) *Answer {
	c.mu.RLock()
	a := c.answers[q]
	c.mu.RUnlock()
	if a == nil || a.left(now) == 0 {
		return nil
	}
	return a
}

// put keeps a, and makes room for it if it must.
func (c *cache) put(q question, a *Answer) {
	if a.TTL <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.answers[q]; !known && len(c.answers) >= c.limit {
		evict(c.answers, func(a *Answer) time.Time { return a.Asked.Add(a.TTL) })
	}
	c.answers[q] = a
}

// evict drops the one of a few entries of m that would end first. A map's order is
// as good as random, and looking at a few costs the same however many there
// are.
func evict[K comparable, V any](m map[K]V, end func(V) time.Time) {
	const sample = 8
	var victim K
	var ends time.Time
	n := 0
	for k, v := range m {
		if e := end(v); n == 0 || e.Before(ends) {
			victim, ends = k, e
		}
		if n++; n == sample {
			break
		}
	}
	delete(m, victim)
}
