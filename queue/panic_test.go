package queue

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// fragile is a router that panics at mail to one domain once it is broken.
type fragile struct {
	mxRouter
	broken *bool
}

func (f fragile) Destination(e *mail.Envelope, a mail.Address) Destination {
	if *f.broken && a.Domain.String() == "bad.example" {
		panic("boom")
	}
	return f.mxRouter.Destination(e, a)
}

// A panic while an outcome is judged costs that delivery its turn until the next
// start; the relay and all other mail go on.
func TestPanicBesideADelivery(t *testing.T) {
	broken := false
	var seen tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		seen.note(a)
		if broken && a.Delivery.Destination.Domain.String() == "bad.example" {
			return all(a, Result{Verdict: Reroute})
		}
		return all(a, taken)
	}, func(r *rig) {
		r.sched.halt()
		r.send("a@x.example", "b@bad.example")
		broken = true
		r.sched.resume()
		time.Sleep(24 * time.Hour)
		r.send("a@x.example", "c@y.example")
		time.Sleep(time.Minute)
		if seen.len() != 2 || r.store.count() != 1 {
			t.Errorf("%d attempts, %d messages left; want 2 and 1", seen.len(), r.store.count())
		}
		if logs := r.logs.String(); !strings.Contains(logs, "boom") || !strings.Contains(logs, "panic_test.go") {
			t.Error("the log has no stack")
		}
		r.halt()
		broken = false
		r.start()
		time.Sleep(time.Minute)
		if n := r.store.count(); n != 0 {
			t.Errorf("%d left after the next start", n)
		}
	}, func(o *Options) { o.Router, o.Retry.WarnAfter = fragile{broken: &broken}, 0 })
}
