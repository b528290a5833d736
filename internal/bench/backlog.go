package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/bench/load"
	"github.com/postrider/postrider/internal/bench/meter"
	"github.com/postrider/postrider/internal/bench/report"
	"github.com/postrider/postrider/internal/bench/system"
)

const (
	// backlogParts is how many parts it is injected in: the rate of the first
	// is that of an almost empty queue.
	backlogParts = 20
	// drainStall is how long the drain may stand still: Postfix's own back-off
	// from destinations that were dead takes a minute.
	drainStall = 3 * time.Minute
)

// backlogTurn measures profile (d). Without -full the rivals get the same, with
// it they are spared the largest: an hour of Postfix's time tells nothing more.
func backlogTurn(ctx context.Context, t *turn) error {
	for _, count := range t.backlogs {
		if _, ours := t.kind.(*system.Postrider); !ours && count > mostForRivals {
			continue
		}
		if err := t.backlog(ctx, count); err != nil {
			return err
		}
	}
	return nil
}

// mostForRivals bounds the backlog that others than Postrider are given.
const mostForRivals = 100_000

// backlog fills the queue while all receivers refuse connections, restarts the
// system, brings the receivers up and watches the queue drain.
func (t *turn) backlog(ctx context.Context, count int) error {
	ports, err := load.FreePorts(1)
	if err != nil {
		return err
	}
	return t.withZone(ctx, system.Setup{DestinationPort: ports[0]}, func(r *system.Relay) error {
		ledger := load.NewLedger(count)
		run, err := t.fill(ctx, r, count, ledger)
		if err != nil {
			return err
		}
		usage, err := t.idle(ctx, r)
		if err != nil {
			return err
		}
		run.Values["idle_cpu"] = 100 * usage.CPU / usage.Elapsed.Seconds()
		if err := r.Restart(ctx); err != nil {
			return err
		}
		run.Values["restart"] = r.Ready.Seconds()
		if err := t.drain(ctx, r, ledger, &run, ports[0]); err != nil {
			return err
		}
		run.Judge(nil, count, ledger.Arrived(), t.foreign)
		t.keep(ctx, run)
		return nil
	})
}

// fill injects the backlog in parts and notes how fast each was taken.
func (t *turn) fill(ctx context.Context, r *system.Relay, count int, ledger *load.Ledger) (report.Run, error) {
	job := t.job(shape{size10K, 20, false}, r.Address)
	job.Ledger = ledger
	job.To = func(number int) []string {
		domain, _ := system.Destination(number % system.Destinations)
		return []string{"rcpt@" + domain}
	}
	meter.Quiet(ctx, quietPatience)
	window := meter.Open(r.Target, t.disk)
	var rates []float64
	for part := range backlogParts {
		job.First = count * part / backlogParts
		job.Count = count*(part+1)/backlogParts - job.First
		injected, err := load.Inject(ctx, job)
		if err != nil {
			window.Close()
			return report.Run{}, err
		}
		rates = append(rates, injected.Rate())
	}
	run := t.newRun(fmt.Sprintf("%d deferred", count), window.Close(), count)
	first, last := rates[0], rates[len(rates)-1]
	run.Values["accept_empty"], run.Values["accept_full"] = first, last
	run.Values["accept_kept"] = 100 * last / first
	run.Series = map[string][]float64{"accept": rates}
	return run, nil
}

// drain opens the receivers and waits until all has arrived.
func (t *turn) drain(ctx context.Context, r *system.Relay, ledger *load.Ledger, run *report.Run, port uint16) error {
	sink := &load.Sink{Ledger: ledger}
	var addresses []netip.Addr
	for i := range system.Destinations {
		_, address := system.Destination(i)
		addresses = append(addresses, address)
	}
	if err := sink.Listen(port, addresses...); err != nil {
		return err
	}
	defer sink.Close()
	cpu, start := r.Target.CPU(), time.Now()
	// Mail may flow long before the command that asks for it returns.
	flushed := make(chan error, 1)
	go func() { flushed <- r.Flush(ctx) }()
	first, _ := await(ctx, ledger.Arrived, 1, drainStall)
	end, arrived := await(ctx, ledger.Arrived, ledger.Len(), drainStall)
	run.Values["first"] = first.Sub(start).Seconds()
	run.Values["drain"] = float64(arrived) / end.Sub(start).Seconds()
	run.Values["drain_cpu"] = 1000 * (r.Target.CPU() - cpu) / float64(max(1, arrived))
	run.Values["duplicates"] = float64(ledger.Duplicates())
	return errors.Join(<-flushed, ctx.Err())
}
