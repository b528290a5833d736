package queue

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A message that looks, to each who tries it, as if its destination were in trouble
// holds up no other: neither those beside it, nor one that comes days later and finds
// nobody else's word about the destination.
func TestOneDeliveryIsNoEvidence(t *testing.T) {
	for _, c := range []struct {
		reason string
		poison deliverFunc
	}{
		{"it seems that no host can be reached", alwaysUnreachable},
		{"it seems that the route is broken", func(_ context.Context, a *Attempt) Outcome { return routeFault(a) }},
	} {
		t.Run(c.reason, func(t *testing.T) {
			var bad, good tries
			inBubble(t, func(ctx context.Context, a *Attempt) Outcome {
				if strings.HasPrefix(a.Envelope.Recipients[a.Pending[0]].Address.Local, "bad") {
					bad.note(a)
					return c.poison(ctx, a)
				}
				good.note(a)
				return all(a, taken)
			}, func(r *rig) {
				for i := range 60 {
					to := fmt.Sprintf("good%d@y.example", i)
					if i == 5 {
						to = "bad@y.example"
					}
					r.send("a@x.example", to)
				}
				synctest.Wait()
				if n := good.len(); n != 59 || bad.len() != 1 {
					t.Errorf("%d of 59 were taken at once, after %d attempts at the bad one", n, bad.len())
				}
				for hour := range 72 {
					time.Sleep(time.Hour)
					r.send("a@x.example", "good@y.example")
					synctest.Wait()
					if n := good.len(); n != 60+hour {
						t.Fatalf("after %d hours one message waits for another", hour)
					}
				}
				if n := bad.len(); n < 20 || n > 24 {
					t.Errorf("the bad one was tried %d times in three days, want what its own clock says", n)
				}
			}, func(o *Options) {
				o.Router, o.Retry.WarnAfter = mxRouter{map[string]string{"y.example": "smart"}}, 0
			})
		})
	}
}

// Two deliveries are evidence: what comes after them waits for the destination's
// pause, and the pause grows.
func TestTwoDeliveriesAreEvidence(t *testing.T) {
	var seen tries
	inBubble(t, func(ctx context.Context, a *Attempt) Outcome {
		seen.note(a)
		return unreachable(a)
	}, func(r *rig) {
		for i := range 100 {
			r.send("a@x.example", fmt.Sprintf("%d@y.example", i))
		}
		synctest.Wait()
		if seen.len() > 3 {
			t.Errorf("%d attempts before the destination is down", seen.len())
		}
		before := seen.len()
		time.Sleep(4 * time.Hour) // pauses of 1m, 5m, 15m, 30m, 1h, 2h
		if n := seen.len() - before; n < 5 || n > 7 {
			t.Errorf("%d probes in four hours", n)
		}
		if d := r.Destinations(); len(d) != 1 || d[0].Status != Down || !d[0].Probe.After(r.clock.now()) {
			t.Errorf("status: %+v", d)
		}
	}, func(o *Options) { o.Retry.WarnAfter = 0 })
}

// What alone says that its route is broken waits by its own clock, but no longer than
// until the configuration is mended.
func TestReloadTriesTheOnlyWitness(t *testing.T) {
	var seen tries
	var mended atomic.Bool
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		seen.note(a)
		if !mended.Load() {
			return routeFault(a)
		}
		return all(a, taken)
	}, func(r *rig) {
		r.send("a@x.example", "b@y.example")
		time.Sleep(24 * time.Hour) // the next attempt is hours away
		before := seen.len()
		mended.Store(true)
		r.Reload(Reloadable{Router: r.o.Router})
		time.Sleep(time.Second)
		if seen.len() != before+1 || r.store.count() != 0 {
			t.Errorf("%d attempts at once, %d messages left", seen.len()-before, r.store.count())
		}
	}, func(o *Options) {
		o.Router, o.Retry.WarnAfter = mxRouter{map[string]string{"y.example": "smart"}}, 0
	})
}

// A rate that was a slip of the pen holds nothing up once it is corrected.
func TestReloadEndsWaitsForARate(t *testing.T) {
	var lifted atomic.Bool
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if lifted.Load() {
			return all(a, taken)
		}
		o := all(a, Result{Verdict: Again})
		o.Wait = 24 * time.Hour
		return o
	}, func(r *rig) {
		r.send("a@x.example", "b@y.example")
		time.Sleep(time.Minute)
		lifted.Store(true)
		r.Reload(Reloadable{Router: r.o.Router})
		time.Sleep(time.Second)
		if n := r.store.count(); n != 0 {
			t.Error("the message waits for the old rate")
		}
	})
}
