package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/bench/load"
	"github.com/postrider/postrider/internal/bench/meter"
	"github.com/postrider/postrider/internal/bench/report"
	"github.com/postrider/postrider/internal/bench/system"
)

// faultsTurn measures profile (g): what a healthy destination suffers from two
// that are not. First it has the system to itself.
func faultsTurn(ctx context.Context, t *turn) error {
	if err := t.faults(ctx, "healthy alone", load.Healthy); err != nil {
		return err
	}
	return t.faults(ctx, "beside silent and throttling", load.Healthy, load.Silent, load.Throttling)
}

// faults sends the same number of messages to a destination of each manner, in
// turn, and measures the first.
func (t *turn) faults(ctx context.Context, name string, manners ...load.Manner) error {
	healthy := func(number int) bool { return number%len(manners) == 0 }
	s := shape{size10K, 50, false}
	each := s.count(t.count)
	byAddress := map[netip.Addr]load.Manner{}
	var addresses []netip.Addr
	for i, manner := range manners {
		_, address := system.Destination(i)
		byAddress[address], addresses = manner, append(addresses, address)
	}
	sink := &load.Sink{
		Ledger: load.NewLedger(each * len(manners)),
		Manner: func(a netip.Addr) load.Manner { return byAddress[a] },
	}
	if err := sink.Listen(0, addresses...); err != nil {
		return err
	}
	defer sink.Close()
	return t.withZone(ctx, system.Setup{DestinationPort: sink.Port()}, func(r *system.Relay) error {
		job := t.job(s, r.Address)
		job.Count, job.Ledger = each*len(manners), sink.Ledger
		job.To = func(number int) []string {
			domain, _ := system.Destination(number % len(manners))
			return []string{"rcpt@" + domain}
		}
		meter.Quiet(ctx, quietPatience)
		window := meter.Open(r.Target, t.disk)
		injected, err := load.Inject(ctx, job)
		arrived := func() int {
			n, _ := sink.Ledger.Span(healthy)
			return n
		}
		_, got := await(ctx, arrived, each, stallLimit)
		run := t.newRun(name, window.Close(), job.Count)
		_, span := sink.Ledger.Span(healthy)
		delays := sink.Ledger.Delays(healthy)
		run.Values["accept"] = injected.Rate()
		run.Values["delivered"] = float64(got) / max(span, time.Millisecond).Seconds()
		run.Values["arrive_p50"] = report.Percentile(delays, 50)
		run.Values["arrive_p99"] = report.Percentile(delays, 99)
		run.Judge(err, each, got, t.foreign)
		t.keep(ctx, run)
		return nil
	})
}

// withZone starts the system with a name server that knows all destinations.
func (t *turn) withZone(ctx context.Context, setup system.Setup, fn func(*system.Relay) error) error {
	zone, err := system.ServeZone()
	if err != nil {
		return err
	}
	defer zone.Close()
	setup.Resolver = zone.Address()
	return t.with(ctx, setup, fn)
}
