package main

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/postrider/postrider/internal/bench/load"
	"github.com/postrider/postrider/internal/bench/meter"
	"github.com/postrider/postrider/internal/bench/report"
	"github.com/postrider/postrider/internal/bench/system"
)

// Profile (c): so little mail that none waits for another.
const (
	latencyRate        = 20 // messages a second
	latencyConnections = 8
	latencyWarmUp      = 20 // messages
)

var localhost = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// latencyTurn measures the time from the end of the data to the arrival.
func latencyTurn(ctx context.Context, t *turn) error {
	count := 200
	if t.full {
		count = 1000
	}
	total := latencyWarmUp + count
	sink := &load.Sink{Ledger: load.NewLedger(total)}
	if err := sink.Listen(0, localhost); err != nil {
		return err
	}
	defer sink.Close()
	return t.with(ctx, system.Setup{Next: fmt.Sprintf("127.0.0.1:%d", sink.Port())}, func(r *system.Relay) error {
		job := t.job(shape{size10K, latencyConnections, false}, r.Address)
		job.Rate, job.Ledger = latencyRate, sink.Ledger
		job.Count = latencyWarmUp
		if _, err := load.Inject(ctx, job); err != nil {
			return err
		}
		meter.Quiet(ctx, quietPatience)
		sync, err := meter.SyncTime(t.dir, size10K, 200)
		if err != nil {
			return err
		}
		job.First, job.Count = latencyWarmUp, count
		window := meter.Open(r.Target, t.disk)
		injected, err := load.Inject(ctx, job)
		await(ctx, sink.Ledger.Arrived, total, stallLimit)
		run := t.newRun(fmt.Sprintf("%d/s", latencyRate), window.Close(), count)
		delays := sink.Ledger.Delays(func(n int) bool { return n >= latencyWarmUp })
		run.Values["ack_p50"] = report.Percentile(injected.Waits, 50)
		run.Values["ack_p99"] = report.Percentile(injected.Waits, 99)
		run.Values["arrive_p50"] = report.Percentile(delays, 50)
		run.Values["arrive_p99"] = report.Percentile(delays, 99)
		run.Values["sync"] = 1000 * sync.Seconds()
		run.Values["duplicates"] = float64(sink.Ledger.Duplicates())
		run.Judge(err, total, sink.Ledger.Arrived(), t.foreign)
		t.keep(ctx, run)
		return nil
	})
}
