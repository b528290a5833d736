package main

import (
	"context"

	"github.com/postrider/postrider/internal/bench/load"
	"github.com/postrider/postrider/internal/bench/system"
)

// authTurn measures profile (b): a full TLS handshake and a login for every
// message, by our own injector.
func authTurn(ctx context.Context, t *turn) error {
	shapes := []shape{{size10K, 10, false}, {size10K, 50, false}}
	if t.full {
		shapes = []shape{{size10K, 1, false}, {size10K, 10, false}, {size10K, 50, false}, {size10K, 100, false}, {size10K, 50, true}}
	}
	return t.withPostfixSink(ctx, func(sink *load.PostfixSink) error {
		return t.with(ctx, system.Setup{Next: sink.Address(), Auth: true}, func(r *system.Relay) error {
			for _, s := range shapes {
				job := t.job(s, r.AuthAddress)
				job.From, job.StartTLS, job.Login = system.User.User, true, &system.User
				t.steady(ctx, work{
					name: s.String(), job: job, inject: load.Inject,
					arrived: sink.Messages, target: r.Target, tools: []int{sink.PID()},
				})
			}
			return nil
		})
	})
}
