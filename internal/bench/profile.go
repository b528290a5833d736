package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider/postrider/internal/bench/meter"
	"github.com/postrider/postrider/internal/bench/report"
	"github.com/postrider/postrider/internal/bench/system"
)

// profile is one kind of work that all systems do.
type profile struct {
	name  string
	about string
	// limit bounds one turn of one system.
	limit time.Duration
	// run measures one system in one turn and adds its runs.
	run func(ctx context.Context, t *turn) error
	// ceiling, if any, measures the load tools by themselves.
	ceiling func(ctx context.Context, t *turn) error
}

// profiles are in the order they are measured.
var profiles = []profile{
	{name: "relay", about: "durable accept and relay to one receiver", limit: 20 * time.Minute, run: relayTurn, ceiling: ceilingTurn},
	{name: "auth", about: "STARTTLS and AUTH PLAIN on every connection, 10 KB, one message each", limit: 10 * time.Minute, run: authTurn},
	{name: "latency", about: "an idle system: 20 messages a second of 10 KB", limit: 5 * time.Minute, run: latencyTurn},
	{name: "resources", about: "start and idle, empty queue", limit: 2 * time.Minute, run: resourcesTurn},
	{name: "distant", about: "a receiver 50 ms of round trip away, 10 KB over 50 connections", limit: 10 * time.Minute, run: distantTurn},
	{name: "slowdisk", about: "every fsync and fdatasync 5 ms slower, 10 KB", limit: 20 * time.Minute, run: slowDiskTurn},
	{name: "faults", about: "mail for a healthy, a silent and a throttling destination; figures of the healthy one", limit: 5 * time.Minute, run: faultsTurn},
	{name: "recipients", about: "1,000 recipients in each message, 10 KB", limit: 5 * time.Minute, run: recipientsTurn},
	{name: "backlog", about: "receivers of 1,000 domains down, then up again, 10 KB", limit: 2 * time.Hour, run: backlogTurn},
}

func names() []string {
	var names []string
	for _, p := range profiles {
		names = append(names, p.name)
	}
	return names
}

// bench is a benchmark going on.
type bench struct {
	options
	dir   string
	disk  meter.Disk
	kinds []system.Kind
	runs  report.Set
}

// turn is one system's turn at one profile.
type turn struct {
	*bench
	profile profile
	kind    system.Kind // nil for the ceiling
	round   int
	dir     string // empty, for this turn alone
}

// measureProfile gives each system its turns, alternating.
func (b *bench) measureProfile(ctx context.Context, p profile) {
	for round := range b.rounds {
		if p.ceiling != nil {
			b.take(ctx, p, nil, round+1)
		}
		for _, kind := range b.kinds {
			b.take(ctx, p, kind, round+1)
		}
	}
}

// take gives one system one turn. A turn that fails is a run that doesn't count.
func (b *bench) take(ctx context.Context, p profile, kind system.Kind, round int) {
	if ctx.Err() != nil {
		return
	}
	t := &turn{bench: b, profile: p, kind: kind, round: round, dir: filepath.Join(b.dir, "turn")}
	fmt.Fprintf(os.Stderr, "%s %s, round %d: %s\n", time.Now().Format(time.TimeOnly), p.name, round, t.system())
	err := os.Mkdir(t.dir, 0o755)
	if err == nil {
		err = t.run(ctx)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "%s of %s gave up: %v\n", p.name, t.system(), err)
		b.runs = append(b.runs, report.Run{Profile: p.name, Case: "the turn", System: t.system(), Round: round, Dropped: err.Error()})
	}
	if err := os.RemoveAll(t.dir); err != nil {
		fmt.Fprintln(os.Stderr, "clean up:", err)
	}
}

func (t *turn) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.profile.limit)
	defer cancel()
	if t.kind == nil {
		return t.profile.ceiling(ctx, t)
	}
	return t.profile.run(ctx, t)
}

// system is the name in tables.
func (t *turn) system() string {
	if t.kind == nil {
		return "load tools alone"
	}
	return t.kind.Name()
}

// with starts the turn's system, calls fn and stops the system.
func (t *turn) with(ctx context.Context, setup system.Setup, fn func(*system.Relay) error) error {
	dir := filepath.Join(t.dir, "relay")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	relay, err := system.Start(ctx, t.kind, dir, setup)
	if err != nil {
		return err
	}
	err = fn(relay)
	if stopped := relay.Stop(); err == nil {
		err = stopped
	}
	if removed := os.RemoveAll(dir); err == nil {
		err = removed
	}
	return err
}
