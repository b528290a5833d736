package main

import (
	"context"
	"os"
	"time"

	"github.com/postrider/postrider/internal/bench/meter"
	"github.com/postrider/postrider/internal/bench/system"
)

// idleTime is how long a system is watched doing nothing.
const idleTime = 5 * time.Second

// resourcesTurn measures what a system takes that has nothing to do. What it
// takes at work is in every other profile.
func resourcesTurn(ctx context.Context, t *turn) error {
	meter.Quiet(ctx, quietPatience)
	return t.with(ctx, system.Setup{Next: "127.0.0.1:9"}, func(r *system.Relay) error {
		usage, err := t.idle(ctx, r)
		if err != nil {
			return err
		}
		run := t.newRun("empty queue", usage, 1)
		for _, ofMessages := range []string{"cpu", "load_cpu", "written", "writes", "flushes"} {
			delete(run.Values, ofMessages)
		}
		run.Values["start"] = 1000 * r.Ready.Seconds()
		run.Values["idle_cpu"] = 100 * usage.CPU / usage.Elapsed.Seconds()
		if p, ok := t.kind.(*system.Postrider); ok {
			if info, err := os.Stat(p.Binary); err == nil {
				run.Values["binary"] = float64(info.Size()) / (1 << 20)
			}
		}
		run.Judge(nil, 0, 0, t.foreign)
		t.keep(ctx, run)
		return nil
	})
}

// idle watches a system for a while.
func (t *turn) idle(ctx context.Context, r *system.Relay) (meter.Usage, error) {
	window := meter.Open(r.Target, t.disk)
	select {
	case <-ctx.Done():
	case <-time.After(idleTime):
	}
	return window.Close(), ctx.Err()
}
