package queue

import (
	"context"
	"testing"
	"time"
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
