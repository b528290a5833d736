package queue

import (
	"sync/atomic"

	"github.com/postrider/postrider/internal/mail"
)

// maxFresh is how many messages may have their content in memory, or a file of
// it open, on the way from being accepted to their first attempt.
const maxFresh = 256

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
	count   *atomic.Int64 // of those there are
}

// Close does nothing: a Deliverer may close what it was lent.
func (c *sharedContent) Close() error { return nil }

func (c *sharedContent) drop() {
	if c.holders.Add(-1) == 0 {
		c.count.Add(-1)
		_ = c.Content.Close() // it was only read
	}
}

// freshen returns what is needed to attempt deliveries of e from memory, or nil
// if there is enough of that already. They take from the store then.
func (q *Queue) freshen(e *mail.Envelope, deliveries []*Delivery, stage Stage) []fresh {
	if q.freshCount.Add(1) > maxFresh {
		q.freshCount.Add(-1)
		return nil
	}
	content, err := stage.Content()
	if err != nil {
		q.freshCount.Add(-1)
		return nil // it is in the store
	}
	shared := &sharedContent{Content: content, count: &q.freshCount}
	shared.holders.Store(int32(len(deliveries)))
	all := make([]fresh, len(deliveries))
	for i, d := range deliveries {
		all[i] = fresh{d, e, shared}
	}
	return all
}
