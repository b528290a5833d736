package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
)

// The steady load beside which an operator looks at the queue: messages a second,
// and how long it is watched with nobody looking.
const (
	besideRate  = 200
	besideAlone = 15 * time.Second
)

// beside measures how long messages take to be accepted while an operator looks at
// a full queue. They are delivered at once, so the backlog stays as it is.
func beside(ctx context.Context, b *bench) error {
	b.next.open.Store(true)
	return b.withQueue(ctx, func(q *queue.Queue, _ *spool.Spool) error {
		handed := 0
		for _, look := range []struct {
			what string
			do   func(context.Context) error
		}{
			{"nobody looks", func(ctx context.Context) error {
				select {
				case <-time.After(besideAlone):
				case <-ctx.Done():
				}
				return ctx.Err()
			}},
			{"queue stats runs", func(ctx context.Context) error { _, err := q.Stats(ctx); return err }},
			{"queue list runs", func(ctx context.Context) error {
				_, err := entries(ctx, q, queue.Selector{}, b.Messages+1)
				return err
			}},
			{"queue verify runs", func(ctx context.Context) error {
				return q.Verify(ctx, func(queue.Damage) {}, nil)
			}},
		} {
			took, err := b.during(ctx, q, look.do)
			if err != nil {
				return err
			}
			handed += len(took)
			slices.Sort(took)
			b.add(milliseconds("accepted while "+look.what+", p50", took[len(took)/2]),
				milliseconds("accepted while "+look.what+", p99", took[len(took)*99/100]))
		}
		for int(b.next.taken.Load()) < handed && ctx.Err() == nil { // the last are on their way
			time.Sleep(time.Millisecond)
		}
		return ctx.Err()
	})
}

// during hands messages in at a steady rate while do runs, and returns how long
// each took.
func (b *bench) during(ctx context.Context, q *queue.Queue, do func(context.Context) error) ([]time.Duration, error) {
	source := newSource(b.options)
	var (
		clients sync.WaitGroup
		mu      sync.Mutex // guards the rest
		took    []time.Duration
		failed  error
	)
	submit := func() {
		began := time.Now()
		err := source.one(ctx, q, 0)
		mu.Lock()
		defer mu.Unlock()
		took = append(took, time.Since(began))
		if err != nil {
			failed = err
		}
	}
	done := make(chan error, 1)
	go func() { done <- do(ctx) }()
	tick := time.NewTicker(time.Second / besideRate)
	defer tick.Stop()
	for {
		clients.Go(submit)
		select {
		case err := <-done:
			clients.Wait()
			if err == nil {
				err = failed
			}
			return took, err
		case <-tick.C:
		}
	}
}
