package main

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
)

// listPage is how many entries the admin interface asks for at a time.
const listPage = 500

// list reads the whole queue page by page, and before it the first page alone of
// what an operator may ask for.
func list(ctx context.Context, b *bench) error {
	return b.withQueue(ctx, func(q *queue.Queue, _ *spool.Spool) error {
		memory := watchMemory()
		for _, ask := range []struct {
			what string
			sel  queue.Selector
			want int
		}{
			{"of all", queue.Selector{}, listPage},
			{"to one destination", queue.Selector{Route: fmt.Sprintf("mx/d%d.example", b.Destinations-1)}, min(listPage, b.Messages/b.Destinations)},
			{"active, of which there is none", queue.Selector{States: []queue.State{queue.Active}}, 0},
		} {
			began := time.Now()
			found, err := entries(ctx, q, ask.sel, ask.want)
			if err != nil {
				return err
			}
			b.add(seconds("the first page "+ask.what, time.Since(began)))
			if found < ask.want {
				return fmt.Errorf("%d are listed %s instead of %d", found, ask.what, ask.want)
			}
		}
		began := time.Now()
		listed, err := entries(ctx, q, queue.Selector{}, b.Messages+1)
		b.add(seconds("all, page by page", time.Since(began)), mebibytes("resident, largest", memory.end()))
		if err == nil && listed != b.Messages {
			err = fmt.Errorf("%d are listed", listed)
		}
		return err
	})
}

// entries lists what sel selects until it has as many as wanted, or all. Where
// none is wanted it lists all.
func entries(ctx context.Context, q *queue.Queue, sel queue.Selector, want int) (found int, err error) {
	var after queue.DeliveryKey
	for {
		page, next, err := q.List(ctx, sel, after, listPage)
		if found += len(page); err != nil || next == (queue.DeliveryKey{}) || want > 0 && found >= want {
			return found, err
		}
		after = next
	}
}

// stats counts the queue by age.
func stats(ctx context.Context, b *bench) error {
	return b.withQueue(ctx, func(q *queue.Queue, _ *spool.Spool) error {
		memory := watchMemory()
		began := time.Now()
		s, err := q.Stats(ctx)
		b.add(seconds("all", time.Since(began)), mebibytes("resident, largest", memory.end()))
		if err == nil && len(s.Rows) != b.Destinations {
			err = fmt.Errorf("%d rows", len(s.Rows))
		}
		return err
	})
}

// verify reads everything that is stored.
func verify(ctx context.Context, b *bench) error {
	return b.withQueue(ctx, func(q *queue.Queue, _ *spool.Spool) error {
		memory := watchMemory()
		began := time.Now()
		faults := 0
		err := q.Verify(ctx, func(queue.Damage) { faults++ }, nil)
		took := time.Since(began)
		b.add(
			seconds("all", took),
			figure{"content read", float64(b.Messages) * float64(b.Size) / (1 << 20) / took.Seconds(), "MiB/s"},
			mebibytes("resident, largest", memory.end()),
		)
		if err == nil && faults > 0 {
			err = fmt.Errorf("%d faults", faults)
		}
		return err
	})
}
