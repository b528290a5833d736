package main

import (
	"context"
	"sync/atomic"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// nextHop is where all mail goes. It defers each recipient, or takes it, and takes
// no time for either.
type nextHop struct {
	open     atomic.Bool
	deferred atomic.Int64
	taken    atomic.Int64
}

// Deliver implements queue.Deliverer. It reads the content, as a transfer would.
func (n *nextHop) Deliver(_ context.Context, a *queue.Attempt) queue.Outcome {
	r := queue.Result{Verdict: queue.Defer, Host: "mx.example", Reply: mail.Reply{
		Code: 451, Enhanced: mail.EnhancedCode{4, 7, 1}, Text: "greylisted, please come again",
	}}
	if n.open.Load() {
		buf := make([]byte, a.Content.Size())
		if _, err := a.Content.ReadAt(buf, 0); err == nil {
			r.Verdict, r.Reply = queue.Success, mail.Reply{Code: 250}
		}
	}
	out := queue.Outcome{Results: make([]queue.Result, len(a.Pending))}
	for i := range out.Results {
		out.Results[i] = r
	}
	return out
}

// Record implements mail.Recorder.
func (n *nextHop) Record(e mail.Event) {
	switch e.Kind {
	case mail.EventDeferred:
		n.deferred.Add(1)
	case mail.EventDelivered:
		n.taken.Add(1)
	}
}

// domains routes each recipient by its domain.
type domains struct{}

// Concurrency leaves the bound to the queue.
func (domains) Concurrency(queue.Destination) int { return 0 }

func (domains) Destination(_ *mail.Envelope, a mail.Address) queue.Destination {
	return queue.Destination{Route: "mx", Domain: a.Domain}
}
