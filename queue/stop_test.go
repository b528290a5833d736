package queue

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// A stop gives up attempts that only wait for a connection, at once and as if they
// had not been, and lets those finish whose transaction runs.
func TestStopGivesUpWhatWaits(t *testing.T) {
	const transfer = 10 * time.Second
	deliver := func(ctx context.Context, a *Attempt) Outcome {
		if a.Envelope.Recipients[0].Address.Domain.String() == "silent.example" {
			<-a.Opening.Done()
			return all(a, Result{Verdict: Again, Reason: "interrupted"})
		}
		select {
		case <-ctx.Done():
			return all(a, Result{Verdict: Defer})
		case <-time.After(transfer):
			return all(a, taken)
		}
	}
	inBubble(t, deliver, func(r *rig) {
		waiting := r.send("a@x.example", "b@silent.example")
		r.send("a@x.example", "b@busy.example")
		time.Sleep(time.Second)
		began := time.Now()
		r.halt()
		if took := time.Since(began); took > transfer {
			t.Errorf("the stop took %v", took)
		}
		if n := r.store.count(); n != 1 {
			t.Fatalf("%d messages left, want the one that waited", n)
		}
		ds, err := r.store.Deliveries(t.Context(), waiting)
		if err != nil || len(ds) != 1 || ds[0].State != Active || ds[0].Attempts != 0 {
			t.Errorf("what was given up: %+v, %v", ds, err)
		}
	})
}

// A stop ends in its time, whatever does not: an attempt that pays no heed, or a
// store that does not answer. Nothing goes on beside it after that, and a further
// one does nothing.
func TestStopIsBounded(t *testing.T) {
	for _, test := range []struct {
		why string
		at  string // what hangs
	}{{"an attempt hangs", "attempt"}, {"a sweep's commit hangs", "sweep"}} {
		t.Run(test.why, func(t *testing.T) {
			var gate chan struct{} // made in the bubble
			inBubble(t, func(context.Context, *Attempt) Outcome {
				<-gate
				return Outcome{Results: []Result{greylist}}
			}, func(r *rig) {
				gate = make(chan struct{})
				if test.at == "attempt" {
					r.send("a@x.example", "b@y.example")
				} else {
					r.store.refuse = func(c *Change) error {
						if len(c.Meta) > 0 {
							r.store.mu.Unlock()
							<-gate
							r.store.mu.Lock()
						}
						return nil
					}
					if _, err := r.trySubmit(&mail.Envelope{}, Hold, "a@x.example", "b@y.example"); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * keepEvery)
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				defer cancel()
				began := time.Now()
				if err := r.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the stop came to %v", err)
				}
				if took := time.Since(began); took > 11*time.Second {
					t.Errorf("the stop took %v", took)
				}
				select {
				case <-r.stop:
				default:
					t.Error("the keepers go on")
				}
				if test.at == "attempt" && r.store.meta[metaClock] == nil {
					t.Error("the clock was not saved")
				}
				if err := r.Stop(ctx); err != nil {
					t.Errorf("a further stop came to %v", err)
				}
				close(gate)
				synctest.Wait()
			})
		})
	}
}
