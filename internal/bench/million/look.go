package main

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
)

// listPage is how many entries the admin interface asks for at a time.
const listPage = 256

// look lists everything, counts it by age, and verifies it.
func look(ctx context.Context, b *bench) error {
	return b.withQueue(ctx, func(q *queue.Queue, store *spool.Spool) error {
		memory := watchMemory()
		began := time.Now()
		listed := 0
		var after queue.DeliveryKey
		for {
			page, next, err := q.List(ctx, queue.Selector{All: true}, after, listPage)
			if err != nil {
				return err
			}
			listed += len(page)
			if after = next; next == (queue.DeliveryKey{}) {
				break
			}
		}
		b.add(seconds("queue list", time.Since(began)))
		began = time.Now()
		stats, err := q.Stats(ctx)
		if err != nil {
			return err
		}
		b.add(seconds("queue stats", time.Since(began)))
		began = time.Now()
		faults := 0
		if err := store.Verify(ctx, func(d queue.Damage) { faults++ }); err != nil {
			return err
		}
		b.add(seconds("queue verify", time.Since(began)), mebibytes("resident, largest", memory.end()))
		if listed != b.Messages || len(stats.Rows) != b.Destinations || faults > 0 {
			return fmt.Errorf("%d listed, %d rows, %d faults", listed, len(stats.Rows), faults)
		}
		return nil
	})
}
