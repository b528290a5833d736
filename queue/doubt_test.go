package queue

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// doubtOnce has the first change that suits be done, and an error all the same.
func (r *rig) doubtOnce(suits func(*Change) bool) (happened *atomic.Bool) {
	happened = new(atomic.Bool)
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	r.store.doubt = func(c *Change) error {
		if happened.Load() || !suits(c) {
			return nil
		}
		happened.Store(true)
		return errors.New("input/output error")
	}
	return happened
}

// A commit that failed and was on the disk in whole after all: the sender gets
// one report, the failure is told once, and nobody is asked again.
func TestBounceInDoubt(t *testing.T) {
	var attempts, reports tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if a.Envelope.From.IsNull() {
			reports.note(a)
			return all(a, taken)
		}
		attempts.note(a)
		return all(a, refused)
	}, func(r *rig) {
		happened := r.doubtOnce(func(c *Change) bool { return len(c.Remove) > 0 && len(c.Create) > 0 })
		r.send("a@x.example", "b@y.example")
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if !happened.Load() {
			t.Fatal("no commit was in doubt: the test shows nothing")
		}
		if attempts.len() != 1 || reports.len() != 1 {
			t.Errorf("%d attempts and %d reports, want one of each", attempts.len(), reports.len())
		}
		if n := len(r.log.of(mail.EventBounced)); n != 1 {
			t.Errorf("%d bounces are told", n)
		}
		if r.store.count() != 0 {
			t.Errorf("%d messages are left", r.store.count())
		}
		if err := r.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
	})
}

// The same where some recipients are refused and others wait: they are tried again
// by their clock.
func TestPutInDoubt(t *testing.T) {
	var attempts, reports tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if a.Envelope.From.IsNull() {
			reports.note(a)
			return all(a, taken)
		}
		if attempts.note(a) > 1 {
			return all(a, taken)
		}
		return Outcome{Results: []Result{refused, greylist}}
	}, func(r *rig) {
		happened := r.doubtOnce(func(c *Change) bool { return len(c.Put) > 0 && len(c.Create) > 0 })
		r.send("a@x.example", "1@y.example", "2@y.example")
		time.Sleep(time.Hour)
		if !happened.Load() {
			t.Fatal("no commit was in doubt: the test shows nothing")
		}
		if attempts.len() != 2 || reports.len() != 1 || r.store.count() != 0 {
			t.Errorf("%d attempts, %d reports, %d messages left; want 2, 1, 0", attempts.len(), reports.len(), r.store.count())
		}
		if n := len(r.log.of(mail.EventBounced)); n != 1 {
			t.Errorf("%d bounces are told", n)
		}
	})
}

// What an operator did and was told an error about has its consequences within
// minutes, if it was done.
func TestCommandInDoubt(t *testing.T) {
	ctx, everything := context.Background(), Selector{All: true}
	for _, c := range []struct {
		why     string
		hold    Disposition
		command func(*Queue, context.Context, Selector) (int, error)
	}{
		{"bounced: the report goes out", Hold, (*Queue).Bounce},
		{"released: it is attempted", Hold, (*Queue).Release},
	} {
		t.Run(c.why, func(t *testing.T) {
			var seen tries
			inBubble(t, func(_ context.Context, a *Attempt) Outcome {
				seen.note(a)
				return all(a, taken)
			}, func(r *rig) {
				if _, err := r.trySubmit(&mail.Envelope{}, c.hold, "a@x.example", "b@y.example"); err != nil {
					t.Fatal(err)
				}
				happened := r.doubtOnce(func(c *Change) bool { return len(c.Put)+len(c.Remove) > 0 })
				if _, err := c.command(r.Queue, ctx, everything); err == nil || !happened.Load() {
					t.Fatalf("the commit was not in doubt: %v", err)
				}
				time.Sleep(2 * keepEvery)
				synctest.Wait()
				if seen.len() != 1 || r.store.count() != 0 {
					t.Errorf("%d attempts, %d messages left; want 1 and 0", seen.len(), r.store.count())
				}
			})
		})
	}
}
