package queue

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// Mail of one identity to any number of hosts that say nothing for minutes leaves
// workers for everybody else, be it a newsletter or message after message.
func TestOneIdentityLeavesWorkersToOthers(t *testing.T) {
	news := func() *mail.Envelope { return &mail.Envelope{Identity: mail.Identity{Name: "news"}} }
	for _, c := range []struct {
		reason string
		send   func(*rig)
	}{
		{"message after message", func(r *rig) {
			for i := range 300 {
				r.submit(news(), "a@x.example", fmt.Sprintf("u@silent%d.example", i))
			}
		}},
		{"one message", func(r *rig) {
			var to []string
			for i := range 300 {
				to = append(to, fmt.Sprintf("u@silent%d.example", i))
			}
			r.submit(news(), "a@x.example", to...)
		}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			var silent atomic.Int64
			var others tries
			inBubble(t, func(_ context.Context, a *Attempt) Outcome {
				if !strings.HasPrefix(a.Delivery.Destination.Domain.String(), "silent") {
					others.note(a)
					return all(a, taken)
				}
				silent.Add(1)
				defer silent.Add(-1)
				time.Sleep(5 * time.Minute)
				return unreachable(a)
			}, func(r *rig) {
				c.send(r)
				for i := range 30 {
					time.Sleep(time.Minute)
					if n := silent.Load(); n > 75 || i < 3 && n < 70 {
						t.Errorf("minute %d: %d of 100 workers wait for silent hosts, want three quarters", i, n)
					}
					r.submit(&mail.Envelope{Identity: mail.Identity{Name: "other"}}, "b@z.example", "u@fast.example")
					synctest.Wait()
					if others.len() != i+1 {
						t.Fatalf("minute %d: another's message waits for a worker", i)
					}
				}
			}, func(o *Options) { o.Retry.WarnAfter = 0 })
		})
	}
}
