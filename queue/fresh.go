package queue

import (
	"sync/atomic"

	"github.com/postrider/postrider/internal/mail"
)

// Bounds of what is held on the way from being accepted to the first attempt.
const (
	// freshBudget is the most octets of content in memory; a message counts at
	// least as much as freshLeast, for its envelope, and at most as much as
	// freshMost: larger content is an open file. No lane holds more of it than
	// its page has entries.
	freshBudget = 16 << 20
	freshLeast  = 1 << 10
	freshMost   = 64 << 10
)

// fresh is a delivery that was accepted just now: it goes to its worker from
// memory. The store has it as well, so a fresh one may be dropped at any time.
type fresh struct {
	delivery *Delivery
	envelope *mail.Envelope
	content  *sharedContent
}

// drop gives up what f holds; f may be nil.
func (f *fresh) drop() {
	if f != nil {
		f.content.drop()
	}
}

// sharedContent is the content of one message for several deliveries. The last
// one to drop it closes it.
type sharedContent struct {
	Content
	holders atomic.Int32
	cost    int64
	spent   *atomic.Int64 // of freshBudget
}

// Close does nothing: a Deliverer may close what it was lent.
func (c *sharedContent) Close() error { return nil }

func (c *sharedContent) drop() {
	if c.holders.Add(-1) == 0 {
		c.spent.Add(-c.cost)
		_ = c.Content.Close() // it was only read
	}
}

// freshen returns what is needed to attempt deliveries of e from memory, or nil
// if there is enough of that already. They take from the store then.
func (q *Queue) freshen(e *mail.Envelope, deliveries []*Delivery, stage Stage) []fresh {
	cost := min(freshLeast+e.Size, freshMost)
	if q.freshSpent.Add(cost) > freshBudget {
		q.freshSpent.Add(-cost)
		return nil
	}
	content, err := stage.Content()
	if err != nil {
		q.freshSpent.Add(-cost)
		return nil // it is in the store
	}
	shared := &sharedContent{Content: content, cost: cost, spent: &q.freshSpent}
	shared.holders.Store(int32(len(deliveries)))
	all := make([]fresh, len(deliveries))
	for i, d := range deliveries {
		all[i] = fresh{d, e, shared}
	}
	return all
}
