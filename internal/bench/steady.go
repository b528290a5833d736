package main

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/bench/load"
	"github.com/postrider/postrider/internal/bench/meter"
	"github.com/postrider/postrider/internal/bench/report"
)

// work is one steady run: mail goes in as fast as it is taken, and the run lasts
// until the last message has arrived.
type work struct {
	name   string // of the case
	job    load.Job
	inject func(context.Context, load.Job) (load.Injected, error)
	// arrived counts messages at the sink since whenever.
	arrived func() int
	target  *meter.Target // nil for the ceiling
	tools   []int         // load tools that outlive the run
}

// Limits of waiting.
const (
	quietPatience = 8 * time.Second
	stallLimit    = 30 * time.Second // without an arrival
	failedLimit   = 3 * time.Second  // the same, when injection has failed
)

// steady makes one run and keeps it.
func (t *turn) steady(ctx context.Context, w work) report.Run {
	meter.Quiet(ctx, quietPatience)
	before := w.arrived()
	window := meter.Open(w.target, t.disk, w.tools...)
	start := time.Now()
	injected, err := w.inject(ctx, w.job)
	atAck := w.arrived() - before
	limit := stallLimit
	if err != nil {
		limit = failedLimit
	}
	end, total := await(ctx, w.arrived, before+w.job.Count, limit)
	usage := window.Close()
	arrived := total - before
	run := t.newRun(w.name, usage, w.job.Count)
	run.Values["accept"] = injected.Rate()
	run.Values["delivered"] = float64(arrived) / end.Sub(start).Seconds()
	run.Values["at_ack"] = float64(atAck) / float64(w.job.Count)
	if len(injected.Waits) > 0 {
		run.Values["ack_p50"] = report.Percentile(injected.Waits, 50)
		run.Values["ack_p99"] = report.Percentile(injected.Waits, 99)
	}
	run.Judge(err, w.job.Count, arrived, t.foreign)
	t.keep(ctx, run)
	return run
}

// newRun makes a run with the figures of a window, for messages each.
func (t *turn) newRun(name string, u meter.Usage, messages int) report.Run {
	n := float64(max(1, messages))
	run := report.Run{Profile: t.profile.name, Case: name, System: t.system(), Round: t.round, Values: map[string]float64{
		"load_cpu": 1000 * u.Load / n,
		"written":  u.Written / n,
		"writes":   u.Writes / n,
		"flushes":  u.Flushes / n,
		"busy":     u.Busy,
		"iowait":   u.IOWait,
		"foreign":  u.Foreign,
	}}
	if t.kind != nil {
		run.Values["cpu"] = 1000 * u.CPU / n
		run.Values["rss"] = u.Peak.RSS
		run.Values["pss"] = u.Peak.PSS
		run.Values["anonymous"] = u.Peak.Anonymous
		run.Values["processes"] = float64(u.Peak.Processes)
	}
	return run
}

// keep adds a run, unless the harness has been interrupted in its midst.
func (t *turn) keep(ctx context.Context, run report.Run) {
	if ctx.Err() == nil {
		t.runs = append(t.runs, run)
	}
}

// await waits until count has reached want, or hasn't grown for limit. It
// returns when that was and what the count was.
func await(ctx context.Context, count func() int, want int, limit time.Duration) (time.Time, int) {
	last, since := -1, time.Now()
	for {
		n, now := count(), time.Now()
		if n != last {
			last, since = n, now
		}
		if n >= want || now.Sub(since) > limit || ctx.Err() != nil {
			return since, n
		}
		time.Sleep(5 * time.Millisecond)
	}
}
