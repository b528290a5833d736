package main

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/internal/bench/load"
	"github.com/postrider/postrider/internal/bench/meter"
	"github.com/postrider/postrider/internal/bench/system"
)

// recipientsEach is how many recipients a message of profile (h) has.
const recipientsEach = 1000

// recipientsTurn measures profile (h). Its figures are for recipients: one
// message to a thousand is a thousand deliveries.
func recipientsTurn(ctx context.Context, t *turn) error {
	messages := 20
	if t.full {
		messages = 100
	}
	sink := &load.Sink{}
	if err := sink.Listen(0, localhost); err != nil {
		return err
	}
	defer sink.Close()
	var to []string
	for i := range recipientsEach {
		to = append(to, fmt.Sprintf("rcpt%d@dest.example", i))
	}
	return t.with(ctx, system.Setup{Next: fmt.Sprintf("127.0.0.1:%d", sink.Port())}, func(r *system.Relay) error {
		job := t.job(shape{size10K, 4, false}, r.Address)
		job.Count, job.To = messages, func(int) []string { return to }
		t.recipients(ctx, r, sink, job)
		return nil
	})
}

func (t *turn) recipients(ctx context.Context, r *system.Relay, sink *load.Sink, job load.Job) {
	meter.Quiet(ctx, quietPatience)
	want := job.Count * recipientsEach
	window := meter.Open(r.Target, t.disk)
	injected, err := load.Inject(ctx, job)
	await(ctx, sink.Recipients, want, stallLimit)
	usage := window.Close()
	run := t.newRun(fmt.Sprintf("%d messages x%d", job.Count, job.Connections), usage, want)
	run.Values["accept"] = injected.Rate() * recipientsEach
	run.Values["delivered"] = float64(sink.Recipients()) / usage.Elapsed.Seconds()
	run.Values["transactions"] = float64(sink.Messages()) / float64(job.Count)
	run.Judge(err, want, sink.Recipients(), t.foreign)
	t.keep(ctx, run)
}
