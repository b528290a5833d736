package main

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
)

// drain has the operator retry everything while the next hop takes it.
func drain(ctx context.Context, b *bench) error {
	b.next.open.Store(true)
	return b.withQueue(ctx, func(q *queue.Queue, store *spool.Spool) error {
		memory := watchMemory()
		began := time.Now()
		retried := make(chan error, 1)
		go func() {
			_, err := q.Retry(ctx, queue.Selector{All: true})
			b.add(seconds("queue retry --all", time.Since(began)))
			retried <- err
		}()
		for int(b.next.taken.Load()) < b.Messages && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		if n := store.Totals().Messages; n != 0 && ctx.Err() == nil {
			return fmt.Errorf("%d messages are left", n)
		}
		took := time.Since(began)
		if err := <-retried; err != nil {
			return err
		}
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
