package main

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/bench/load"
	"github.com/postrider/postrider/internal/bench/system"
)

// slowSync is what profile (f) adds to each sync: a disk in a busy cluster.
const slowSync = 5 * time.Millisecond

// slowDiskTurn measures profile (f).
func slowDiskTurn(ctx context.Context, t *turn) error {
	shapes := []shape{{size10K, 10, false}, {size10K, 50, false}}
	if t.full {
		shapes = []shape{{size10K, 1, false}, {size10K, 10, false}, {size10K, 50, false}, {size10K, 100, false}}
	}
	return t.withPostfixSink(ctx, func(sink *load.PostfixSink) error {
		return t.with(ctx, system.Setup{Next: sink.Address(), SlowSync: slowSync}, func(r *system.Relay) error {
			t.steadyShapes(ctx, shapes, r.Address, sink, r.Target)
			return nil
		})
	})
}
