package queue

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/postrider/postrider/internal/mail"
)

type nobody struct{}

func (nobody) Record(mail.Event) {}

// BenchmarkAcceptToSettled is the queue's own part of a message's way: accepting,
// scheduling, settling, with a store and a next hop that take no time.
func BenchmarkAcceptToSettled(b *testing.B) {
	q := New(newMemStore(), Options{
		Router: mxRouter{}, Recorder: nobody{}, Retry: plan,
		Logger: slog.New(slog.DiscardHandler),
		Deliverer: deliverFunc(func(_ context.Context, a *Attempt) Outcome {
			return all(a, taken)
		}),
	})
	if err := q.Start(context.Background()); err != nil {
		b.Fatal(err)
	}
	from, err := mail.ParsePath("<a@x.example>")
	if err != nil {
		b.Fatal(err)
	}
	to := []mail.Recipient{{Address: mail.MustParseAddress("b@y.example")}}
	b.ReportAllocs()
	for b.Loop() {
		in, err := q.Receive(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.WriteString(in, "Subject: x\r\n\r\n"); err != nil {
			b.Fatal(err)
		}
		e := &mail.Envelope{From: from, Recipients: to, Identity: mail.Identity{Name: "app"}}
		if err := in.Commit(context.Background(), e, Deliver); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	if err := q.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
}
