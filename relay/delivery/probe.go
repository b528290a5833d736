package delivery

import (
	"context"
	"io"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// Probe goes the way of a message as far as RCPT, for people who want to know what
// would happen: the route of the first recipient, its hosts, TLS, login, MAIL, and
// RCPT for each recipient that goes the same way; the others are Reroute. A Success
// is an accepted RCPT. No content is sent and no pace is used up; what is learned
// about hosts counts as in an attempt.
func (c *Courier) Probe(ctx context.Context, e *mail.Envelope) queue.Outcome {
	a := &queue.Attempt{Envelope: e, Content: nothing{}, Delivery: &queue.Delivery{}}
	for i := range e.Recipients {
		a.Pending = append(a.Pending, i)
	}
	t := newAttempt(c, a)
	t.probe = true
	if len(a.Pending) > 0 {
		first := e.Recipients[0].Address
		r := t.rules.router.Match(e, first)
		a.Delivery.Destination = queue.Destination{Route: r.Name, Domain: r.Domain(first)}
		t.run(ctx)
	}
	return t.outcome()
}

// nothing is content without octets.
type nothing struct{}

func (nothing) ReadAt([]byte, int64) (int, error) { return 0, io.EOF }
func (nothing) Size() int64                       { return 0 }
func (nothing) Close() error                      { return nil }
