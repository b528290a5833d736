package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
)

// phases in their order. Each goes on with what the one before has left.
var phases = []struct {
	name, about string
	run         func(context.Context, *bench) error
}{
	{"fill", "every message is accepted durably, attempted, and deferred", fill},
	{"start", "the queue is opened and started on what is deferred", start},
	{"list", "postrider queue list", list},
	{"stats", "postrider queue stats", stats},
	{"verify", "postrider queue verify", verify},
	{"beside", "200 messages a second are accepted while an operator looks", beside},
	{"drain", "receivers are back, and all is due at once", drain},
	{"after", "started again, empty, after the drain", start},
}

// bench is one phase at work.
type bench struct {
	options
	next     *nextHop
	interval time.Duration // between attempts
	figures  []figure
}

func (b *bench) add(f ...figure) { b.figures = append(b.figures, f...) }

func runPhase(ctx context.Context, o options, name string) ([]figure, error) {
	for _, p := range phases {
		if p.name == name {
			b := &bench{options: o, next: &nextHop{}, interval: 24 * time.Hour}
			stop, err := o.profile(name)
			if err != nil {
				return nil, err
			}
			err = errors.Join(p.run(ctx, b), stop())
			return b.figures, err
		}
	}
	return nil, fmt.Errorf("no phase %q", name)
}

// profile writes a CPU profile of a phase, if one is wanted, until stop is called.
func (o options) profile(phase string) (stop func() error, err error) {
	if o.Profiles == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(filepath.Join(o.Profiles, phase+".pprof"))
	if err != nil {
		return nil, err
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, pprof.StartCPUProfile(f)
}

// withQueue runs fn with the started queue in b.Dir.
func (b *bench) withQueue(ctx context.Context, fn func(*queue.Queue, *spool.Spool) error) (err error) {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	began := time.Now()
	store, err := spool.Open(filepath.Join(b.Dir, "queue"), spool.Options{Logger: logger})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	opened := time.Since(began)
	q := queue.New(store, queue.Options{
		Owner: "bench", Hostname: "relay.example", Postmaster: mail.MustParseAddress("postmaster@relay.example"),
		Router: domains{}, Deliverer: b.next, Recorder: b.next, Logger: logger,
		Retry: config.Retry{Intervals: []time.Duration{b.interval}, Lifetime: 5 * 24 * time.Hour},
	})
	if err := q.Start(ctx); err != nil {
		return err
	}
	b.add(seconds("open the spool", opened), seconds("start to ready", time.Since(began)))
	err = fn(q, store)
	return errors.Join(err, q.Stop(context.WithoutCancel(ctx)))
}

// start measures nothing but what withQueue does, and what it leaves in memory.
func start(ctx context.Context, b *bench) error {
	return b.withQueue(ctx, func(*queue.Queue, *spool.Spool) error {
		b.add(mebibytes("resident", resident()))
		return nil
	})
}
