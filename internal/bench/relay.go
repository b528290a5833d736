package main

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/internal/bench/load"
	"github.com/postrider/postrider/internal/bench/meter"
	"github.com/postrider/postrider/internal/bench/system"
)

// shape is how a steady load looks.
type shape struct {
	size        int // octets of body
	connections int
	reuse       bool
}

// Sizes of messages, as smtp-source counts them.
const (
	size1K   = 1000
	size10K  = 10_000
	size100K = 100_000
	size1M   = 1_000_000
)

// String is the case's name in tables.
func (s shape) String() string {
	unit := fmt.Sprintf("%d KB", s.size/1000)
	if s.size >= size1M {
		unit = fmt.Sprintf("%d MB", s.size/size1M)
	}
	name := fmt.Sprintf("%s x%d", unit, s.connections)
	if s.reuse {
		name += " reused"
	}
	return name
}

// count scales the number of messages so that every run lasts seconds, not
// minutes: fewer large ones, and fewer where each waits for the one before.
func (s shape) count(of10K int) int {
	n := of10K
	switch {
	case s.size >= size1M:
		n /= 50
	case s.size >= size100K:
		n /= 5
	}
	if s.connections == 1 {
		n /= 5
	}
	return max(n, 2*s.connections, 10)
}

// relayShapes are the standard set; with full every size, number of connections
// and use of them.
func relayShapes(full bool) []shape {
	if !full {
		return []shape{
			{size10K, 1, false}, {size10K, 10, false}, {size10K, 50, false}, {size10K, 100, false},
			{size10K, 10, true}, {size1K, 50, false}, {size100K, 10, false}, {size1M, 10, false},
		}
	}
	var shapes []shape
	for _, size := range []int{size1K, size10K, size100K, size1M} {
		for _, reuse := range []bool{false, true} {
			for _, connections := range []int{1, 10, 50, 100} {
				shapes = append(shapes, shape{size, connections, reuse})
			}
		}
	}
	return shapes
}

// job is a shape's work for a system at address.
func (t *turn) job(s shape, address string) load.Job {
	return load.Job{
		Address: address, Count: s.count(t.count), Connections: s.connections, Size: s.size, Reuse: s.reuse,
		From: "sender@bench.example", To: func(int) []string { return []string{"rcpt@dest.example"} },
	}
}

// relayTurn measures profile (a): smtp-source into the system, the system into
// smtp-sink.
func relayTurn(ctx context.Context, t *turn) error {
	return t.withPostfixSink(ctx, func(sink *load.PostfixSink) error {
		return t.with(ctx, system.Setup{Next: sink.Address()}, func(r *system.Relay) error {
			t.steadyShapes(ctx, relayShapes(t.full), r.Address, sink, r.Target)
			return nil
		})
	})
}

// ceilingTurn lets the load tools talk to each other.
func ceilingTurn(ctx context.Context, t *turn) error {
	return t.withPostfixSink(ctx, func(sink *load.PostfixSink) error {
		t.steadyShapes(ctx, relayShapes(t.full), sink.Address(), sink, nil)
		return nil
	})
}

// steadyShapes makes a run of each shape with Postfix's load tools.
func (t *turn) steadyShapes(ctx context.Context, shapes []shape, address string, sink *load.PostfixSink, target *meter.Target) {
	for _, s := range shapes {
		t.steady(ctx, work{
			name: s.String(), job: t.job(s, address), inject: load.Source,
			arrived: sink.Messages, target: target, tools: []int{sink.PID()},
		})
	}
}

// withPostfixSink starts smtp-sink at a port of its own, calls fn and stops it.
func (t *turn) withPostfixSink(ctx context.Context, fn func(*load.PostfixSink) error) error {
	ports, err := load.FreePorts(1)
	if err != nil {
		return err
	}
	sink, err := load.StartPostfixSink(ctx, fmt.Sprintf("127.0.0.1:%d", ports[0]))
	if err != nil {
		return err
	}
	defer sink.Stop()
	return fn(sink)
}
