package queue

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// While the store can't settle, nothing is attempted a second time and nothing
// new is begun; with space again it is settled as it was and all goes on.
func TestNoSpaceWhileSettling(t *testing.T) {
	var seen tries
	var gate chan struct{} // made in the bubble
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		<-gate
		seen.note(a)
		return all(a, taken)
	}, func(r *rig) {
		gate = make(chan struct{})
		for i := range 50 {
			r.send("a@x.example", fmt.Sprintf("%d@y.example", i))
		}
		synctest.Wait()
		r.store.fail(fmt.Errorf("disk: %w", ErrNoSpace))
		close(gate)
		time.Sleep(2 * time.Hour)
		if n := seen.len(); n > r.o.Workers {
			t.Errorf("%d attempts by %d workers while nothing can be settled", n, r.o.Workers)
		}
		if err := r.Ready(); err == nil {
			t.Error("ready without space")
		}
		_, err := r.trySubmit(&mail.Envelope{}, Deliver, "a@x.example", "b@y.example")
		if got := mail.ReplyOf(err, mail.Reply{}); got.Code != 452 || got.Enhanced != (mail.EnhancedCode{4, 3, 1}) {
			t.Errorf("a message is answered %v", err)
		}
		r.store.fail(nil)
		time.Sleep(time.Minute)
		if err := r.Ready(); err != nil {
			t.Errorf("not ready with space again: %v", err)
		}
		if r.store.count() != 0 || seen.len() != 50 {
			t.Errorf("%d left after %d attempts, want 50: one each", r.store.count(), seen.len())
		}
	}, func(o *Options) { o.Retry.WarnAfter, o.Workers = 0, 10 })
}

// While there is no space for reports alone, what has one waits for it, nothing is
// given to the operator, and all else goes on and frees space.
func TestNoSpaceForReports(t *testing.T) {
	var seen, reports tries
	full := fmt.Errorf("disk: %w", ErrNoSpace)
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if a.Envelope.From.IsNull() {
			reports.note(a)
			return all(a, taken)
		}
		seen.note(a)
		if strings.HasPrefix(a.Envelope.Recipients[0].Address.Local, "bad") {
			return all(a, refused)
		}
		return all(a, taken)
	}, func(r *rig) {
		for i := range 20 {
			for _, to := range []string{"bad%d@y.example", "good%d@y.example"} {
				if _, err := r.trySubmit(&mail.Envelope{}, Hold, "a@x.example", fmt.Sprintf(to, i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		fill := func(free error, refuse func(*Change) error) {
			r.store.mu.Lock()
			defer r.store.mu.Unlock()
			r.store.freeErr, r.store.refuse = free, refuse
		}
		fill(full, func(c *Change) error {
			if len(c.Create) > 0 {
				return full
			}
			return nil
		})
		if n, err := r.Release(context.Background(), Selector{All: true}); n != 40 || err != nil {
			t.Fatal(n, err)
		}
		time.Sleep(time.Hour)
		if n := r.states()[Dead]; n != 0 || r.store.count() != 20 || seen.len() != 40 {
			t.Errorf("%d dead, %d left after %d attempts; want none, 20 and 40", n, r.store.count(), seen.len())
		}
		if r.Ready() == nil || strings.Contains(r.logs.String(), "can store mail again") {
			t.Error("the queue claims that it can store mail")
		}
		fill(nil, nil)
		time.Sleep(2 * lastResettle)
		synctest.Wait()
		if seen.len() != 40 || reports.len() != 20 || len(r.log.of(mail.EventBounced)) != 20 || r.store.count() != 0 {
			t.Errorf("%d attempts, %d reports, %d bounces told, %d left; want 40, 20, 20, 0",
				seen.len(), reports.len(), len(r.log.of(mail.EventBounced)), r.store.count())
		}
		if err := r.Ready(); err != nil || !strings.Contains(r.logs.String(), "can store mail again") {
			t.Errorf("not ready with space again: %v", err)
		}
	})
}
