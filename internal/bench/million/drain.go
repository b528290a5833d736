package main

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
)

// drain delivers everything: receivers that were away for a long time are back, and
// all mail is due.
func drain(ctx context.Context, b *bench) error {
	b.next.open.Store(true)
	b.interval = time.Second // by which what was to wait for a day is late
	return b.withQueue(ctx, func(_ *queue.Queue, store *spool.Spool) error {
		memory := watchMemory()
		began := time.Now()
		for int(b.next.taken.Load()) < b.Messages && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		if n := store.Totals().Messages; n != 0 && ctx.Err() == nil {
			return fmt.Errorf("%d messages are left", n)
		}
		took := time.Since(began)
		taken := int(b.next.taken.Load())
		b.add(
			seconds("until empty", took), rate("delivered", taken, took),
			mebibytes("resident, largest", memory.end()),
			mebibytes("written", written()),
			mebibytes("on the disk", occupied(b.Dir)),
		)
		if taken != b.Messages && ctx.Err() == nil {
			return fmt.Errorf("%d messages were taken instead of %d", taken, b.Messages)
		}
		return ctx.Err()
	})
}
