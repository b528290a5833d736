package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// tries keeps what a Deliverer was asked to do.
type tries struct {
	mu   sync.Mutex
	list []try
}

type try struct {
	at   time.Time
	d    *Delivery
	to   []string
	from string
}

// note adds a and returns how many there are now.
func (t *tries) note(a *Attempt) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := try{at: time.Now(), d: a.Delivery.clone(), from: a.Envelope.From.String()}
	for _, i := range a.Pending {
		n.to = append(n.to, a.Envelope.Recipients[i].Address.String())
	}
	t.list = append(t.list, n)
	return len(t.list)
}

func (t *tries) all() []try {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.list)
}

func (t *tries) len() int { return len(t.all()) }

// Each recipient has its own fate, and a later attempt is about those that still
// want one.
func TestRecipientsSettleIndependently(t *testing.T) {
	var seen tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if a.Envelope.From.IsNull() {
			return all(a, taken)
		}
		if seen.note(a) > 1 {
			return all(a, taken)
		}
		return Outcome{Results: []Result{taken, refused, greylist, greylist}}
	}, func(r *rig) {
		r.send("a@x.example", "1@y.example", "2@y.example", "3@y.example", "4@y.example")
		synctest.Wait()
		list, _, err := r.List(context.Background(), Selector{}, DeliveryKey{}, 10)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		var states []string
		for _, to := range list[0].To {
			states = append(states, to.State.String())
		}
		if got := strings.Join(states, " "); got != "delivered bounced deferred deferred" {
			t.Errorf("states: %s", got)
		}
		if list[0].To[1].Reason != "550 5.1.1 no such user" {
			t.Errorf("reason: %q", list[0].To[1].Reason)
		}
		time.Sleep(time.Hour)
		if all := seen.all(); len(all) != 2 || !slices.Equal(all[1].to, []string{"3@y.example", "4@y.example"}) {
			t.Errorf("attempts: %+v", all)
		}
		if r.store.count() != 0 {
			t.Error("the message is still there")
		}
		if e := r.log.of(mail.EventDeferred); len(e) != 1 || len(e[0].To) != 2 || e[0].Next.Sub(e[0].Time).Round(time.Minute) != time.Minute {
			t.Errorf("deferred events: %+v", e)
		}
	})
}

// Of all events of an attempt one stands for it, and none where nothing was tried.
func TestOneEventStandsForAnAttempt(t *testing.T) {
	outcomes := [][]Result{{greylist, refused, taken, refused}, {greylist}, {refused}}
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if a.Envelope.From.IsNull() {
			return all(a, taken)
		}
		return Outcome{Results: outcomes[a.Delivery.Attempts]}
	}, func(r *rig) {
		r.send("a@x.example", "1@y.example", "2@y.example", "3@y.example", "4@y.example")
		time.Sleep(time.Hour)
		other := r.send("b@x.example", "1@z.example", "2@z.example", "3@z.example", "4@z.example")
		synctest.Wait()
		if n, err := r.Bounce(context.Background(), Selector{IDs: []mail.ID{other}}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		time.Sleep(time.Hour)
		var stand []string
		for _, e := range r.log.all() {
			if e.Result && e.From != nil && !e.From.IsNull() {
				stand = append(stand, string(e.Kind))
			}
		}
		if got := strings.Join(stand, " "); got != "delivered deferred bounced delivered" {
			t.Errorf("attempts: %s", got)
		}
	})
}

// A message with 1,000 recipients at 300 destinations is 300 deliveries that
// settle each for itself: its envelope is never written again.
func TestManyDestinationsSettleIndependently(t *testing.T) {
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if a.Delivery.Attempts == 0 && strings.HasPrefix(a.Delivery.Destination.Domain.String(), "d1") {
			return all(a, greylist)
		}
		return all(a, taken)
	}, func(r *rig) {
		puts := 0
		r.store.refuse = func(c *Change) error {
			if len(c.Create) > 0 && (len(c.Create) != 1 || len(c.Create[0].Deliveries) != 300) {
				t.Errorf("%d messages created", len(c.Create))
			}
			for _, m := range c.Put {
				if puts++; len(m.New.Recipients) > 4 {
					t.Errorf("settling writes %d recipients", len(m.New.Recipients))
				}
			}
			return nil
		}
		var to []string
		for i := range 1000 {
			to = append(to, fmt.Sprintf("u%d@d%d.example", i, i%300))
		}
		r.submit(&mail.Envelope{}, "a@x.example", to...)
		synctest.Wait()
		left := r.store.Totals().By
		if len(left) != 111 { // d1, d10..d19, d100..d199
			t.Errorf("%d destinations left, want 111", len(left))
		}
		time.Sleep(2 * time.Minute)
		if r.store.count() != 0 {
			t.Error("the message is still there")
		}
		if puts != 111 {
			t.Errorf("%d states written, want 111", puts)
		}
	})
}

// What a next hop wants in a further transaction goes there at once and without
// counting as an attempt.
func TestAgainGoesAtOnce(t *testing.T) {
	var seen tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		seen.note(a)
		out := all(a, Result{Verdict: Again})
		out.Results[0] = taken
		return out
	}, func(r *rig) {
		r.send("a@x.example", "1@y.example", "2@y.example", "3@y.example")
		synctest.Wait()
		if r.store.count() != 0 || seen.len() != 3 {
			t.Errorf("%d messages left after %d transactions", r.store.count(), seen.len())
		}
		for _, e := range r.log.of(mail.EventDelivered) {
			if e.Attempt != 1 || e.Delay != 0 {
				t.Errorf("attempt %d after %s", e.Attempt, e.Delay)
			}
		}
	})
}

// A next hop that always wants a further transaction and never takes anybody is
// not asked for ever.
func TestAgainWithoutProgressIsDeferred(t *testing.T) {
	var seen tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if seen.note(a) == 1 {
			return all(a, Result{Verdict: Again})
		}
		return all(a, taken)
	}, func(r *rig) {
		r.send("a@x.example", "1@y.example", "2@y.example")
		synctest.Wait()
		if seen.len() != 1 {
			t.Errorf("%d transactions at once", seen.len())
		}
		time.Sleep(2 * time.Minute)
		if r.store.count() != 0 {
			t.Error("never delivered")
		}
	})
}

func TestPanicInADeliveryDefersIt(t *testing.T) {
	var seen tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if seen.note(a) == 1 {
			panic("boom")
		}
		return all(a, taken)
	}, func(r *rig) {
		r.send("a@x.example", "1@y.example")
		time.Sleep(2 * time.Minute)
		if r.store.count() != 0 || seen.len() != 2 {
			t.Errorf("%d left after %d attempts", r.store.count(), seen.len())
		}
		if !strings.Contains(r.logs.String(), "boom") || !strings.Contains(r.logs.String(), "settle_test.go") {
			t.Error("the log has no stack")
		}
	})
}

// A single delivery that the store refuses doesn't keep the others back. It is not
// attempted again: the operator has it.
func TestUnsettleableDeliveryIsLeftAlone(t *testing.T) {
	var seen tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		seen.note(a)
		return all(a, taken)
	}, func(r *rig) {
		r.store.refuse = func(c *Change) error {
			for _, d := range c.Remove {
				if d.Destination.Domain.String() == "bad.example" {
					return fmt.Errorf("entry: %w", ErrDamaged)
				}
			}
			return nil
		}
		r.send("a@x.example", "1@bad.example")
		time.Sleep(time.Minute)
		r.send("a@x.example", "1@y.example")
		time.Sleep(24 * time.Hour)
		if seen.len() != 2 || r.store.count() != 1 {
			t.Errorf("%d attempts, %d messages left; want 2 and 1", seen.len(), r.store.count())
		}
		list, _, err := r.List(context.Background(), Selector{States: []State{Dead}}, DeliveryKey{}, 10)
		if err != nil || len(list) != 1 || !strings.Contains(list[0].To[0].Reason, "may have been delivered") {
			t.Fatalf("dead letters: %+v (%v)", list, err)
		}
		r.store.mu.Lock()
		r.store.refuse = nil
		r.store.mu.Unlock()
		if n, err := r.Delete(context.Background(), Selector{IDs: []mail.ID{list[0].ID}}); n != 1 || err != nil || r.store.count() != 0 {
			t.Errorf("%d deleted (%v), %d left", n, err, r.store.count())
		}
	})
}

// The free space is looked at once a second; what is taken between two looks
// counts.
func TestBurstDoesNotOverrunMinFree(t *testing.T) {
	inBubble(t, alwaysTaken, func(r *rig) {
		r.store.free = 40 << 20
		time.Sleep(2 * freeEvery) // so that it is seen
		kept := 0
		for range 20 {
			in, err := r.Receive(context.Background())
			if err != nil {
				break
			}
			if _, err = in.Write(make([]byte, 1<<20)); err == nil {
				err = in.Commit(context.Background(), &mail.Envelope{Recipients: []mail.Recipient{{Address: mail.MustParseAddress("b@y.example")}}}, Hold)
			}
			in.Discard()
			if err != nil {
				break
			}
			kept++
		}
		if kept < 3 || kept > 4 {
			t.Errorf("%d MiB taken with 4 MiB above min_free", kept)
		}
	}, func(o *Options) { o.Limits.MinFree = 36 << 20 })
}

func TestRefusesBeyondItsBounds(t *testing.T) {
	full := mail.Reply{Code: 452, Enhanced: mail.EnhancedCode{4, 3, 1}}
	tests := []struct {
		why    string
		limits config.Queue
		set    func(*memStore)
		want   mail.Reply
	}{
		{"room enough", config.Queue{MaxBytes: 1000, MinFree: 1000}, func(*memStore) {}, mail.Reply{}},
		{"max_bytes reached", config.Queue{MaxBytes: 10}, func(*memStore) {}, full},
		{"the disk is nearly full", config.Queue{MinFree: 1000}, func(s *memStore) { s.free = 999 }, full},
		{"the disk is full", config.Queue{}, func(s *memStore) { s.fail(ErrNoSpace) }, full},
		{"the disk is broken", config.Queue{}, func(s *memStore) { s.fail(fmt.Errorf("input/output error")) },
			mail.Reply{Code: 451, Enhanced: mail.EnhancedCode{4, 3, 0}}},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			inBubble(t, func(_ context.Context, a *Attempt) Outcome { return all(a, taken) }, func(r *rig) {
				test.set(r.store)
				_, err := r.trySubmit(&mail.Envelope{}, Hold, "a@x.example", "b@y.example")
				got := mail.ReplyOf(err, mail.Reply{})
				if got.Code != test.want.Code || got.Enhanced != test.want.Enhanced {
					t.Errorf("answered %v, want %v", err, test.want)
				}
				if (err != nil) != (r.store.count() == 0) {
					t.Errorf("%d messages kept", r.store.count())
				}
				r.store.fail(nil)
			}, func(o *Options) { o.Limits = test.limits })
		})
	}
}
