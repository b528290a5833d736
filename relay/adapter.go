package relay

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/relay/admin"
	"github.com/postrider/postrider/relay/submission"
	"github.com/postrider/postrider/routing"
)

// The rooms don't know each other; what one needs of another is joined here.

// recorders hands each event to all of its views.
type recorders []mail.Recorder

func (all recorders) Record(e mail.Event) {
	for _, r := range all {
		r.Record(e)
	}
}

// destinations names destinations by a route table.
type destinations struct {
	table *routing.Table
}

func (d destinations) Destination(e *mail.Envelope, rcpt mail.Address) queue.Destination {
	route := d.table.Match(e, rcpt)
	return queue.Destination{Route: route.Name, Domain: route.Domain(rcpt)}
}

func (d destinations) Concurrency(to queue.Destination) int {
	route, ok := d.table.Route(to.Route)
	if !ok {
		return 0 // of an older table: its mail is about to move
	}
	return route.DestinationConcurrency
}

// receiver lets sessions put messages into the queue.
type receiver struct {
	queue   *queue.Queue
	metrics *admin.Metrics
}

func (r receiver) Receive(ctx context.Context) (submission.Incoming, error) {
	in, err := r.queue.Receive(ctx)
	if err != nil {
		return nil, err
	}
	return incoming{in, r.metrics}, nil
}

type incoming struct {
	*queue.Incoming
	metrics *admin.Metrics
}

func (in incoming) Commit(ctx context.Context, e *mail.Envelope, d queue.Disposition) error {
	began := time.Now()
	err := in.Incoming.Commit(ctx, e, d)
	if err == nil {
		in.metrics.Committed(time.Since(began))
	}
	return err
}
