package main

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/bench/load"
	"github.com/postrider/postrider/internal/bench/system"
)

// roundTrip is how far away the receiver of profile (e) is.
const roundTrip = 50 * time.Millisecond

// distantTurn measures profile (e), once with a receiver that offers what
// smtp-sink does and once with one that takes BDAT as well.
func distantTurn(ctx context.Context, t *turn) error {
	for _, chunking := range []bool{false, true} {
		if err := t.distant(ctx, chunking); err != nil {
			return err
		}
	}
	return nil
}

func (t *turn) distant(ctx context.Context, chunking bool) error {
	s := shape{size10K, 50, false}
	name := s.String() + " PIPELINING"
	if chunking {
		name += " CHUNKING"
	}
	sink := &load.Sink{Chunking: chunking}
	if err := sink.Listen(0, localhost); err != nil {
		return err
	}
	defer sink.Close()
	proxy, err := load.NewProxy(fmt.Sprintf("127.0.0.1:%d", sink.Port()), roundTrip)
	if err != nil {
		return err
	}
	proxy.Serve()
	defer proxy.Close()
	return t.with(ctx, system.Setup{Next: proxy.Address()}, func(r *system.Relay) error {
		t.steady(ctx, work{
			name: name, job: t.job(s, r.Address), inject: load.Source,
			arrived: sink.Messages, target: r.Target,
		})
		return nil
	})
}
