package queue

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// states counts what is in the queue by state.
func (r *rig) states() map[State]int {
	n := map[State]int{}
	var after DeliveryKey
	for {
		page, next, err := r.List(context.Background(), Selector{}, after, 7)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, e := range page {
			n[e.State]++
		}
		if next == (DeliveryKey{}) {
			return n
		}
		after = next
	}
}

func TestOperatorCommands(t *testing.T) {
	ctx := context.Background()
	to := func(d string) Selector { return Selector{ToDomain: mail.MustParseDomain(d)} }
	from, err := mail.ParsePath("<A2@x.example>")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		why     string
		do      func(*rig) (int, error)
		count   int
		left    map[State]int
		event   mail.EventKind
		reports int
	}{
		{"hold by domain", func(r *rig) (int, error) { return r.Hold(ctx, to("d1.example")) }, 10,
			map[State]int{Deferred: 10, Held: 10}, mail.EventHeld, 0},
		{"hold by sender, in any case", func(r *rig) (int, error) { return r.Hold(ctx, Selector{From: &from}) }, 10,
			map[State]int{Deferred: 10, Held: 10}, mail.EventHeld, 0},
		{"hold by destination", func(r *rig) (int, error) { return r.Hold(ctx, Selector{Route: "mx/d1.example"}) }, 10,
			map[State]int{Deferred: 10, Held: 10}, mail.EventHeld, 0},
		{"hold by route", func(r *rig) (int, error) { return r.Hold(ctx, Selector{Route: "mx"}) }, 20,
			map[State]int{Held: 20}, mail.EventHeld, 0},
		{"nothing is so old", func(r *rig) (int, error) { return r.Hold(ctx, Selector{OlderThan: time.Hour}) }, 0,
			map[State]int{Deferred: 20}, mail.EventHeld, 0},
		{"delete tells nobody", func(r *rig) (int, error) { return r.Delete(ctx, Selector{All: true}) }, 20,
			map[State]int{}, mail.EventDeleted, 0},
		{"bounce tells the sender", func(r *rig) (int, error) { return r.Bounce(ctx, to("d2.example")) }, 10,
			map[State]int{Deferred: 10}, mail.EventBounced, 10},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			var got reports
			inBubble(t, got.deliver(alwaysGreylisted), func(r *rig) {
				for i := range 20 {
					r.send(fmt.Sprintf("a%d@x.example", i%2+1), fmt.Sprintf("u@d%d.example", i%2+1))
				}
				synctest.Wait()
				n, err := test.do(r)
				if err != nil || n != test.count {
					t.Errorf("%d, %v; want %d", n, err, test.count)
				}
				synctest.Wait()
				if s := r.states(); fmt.Sprint(s) != fmt.Sprint(test.left) {
					t.Errorf("left %v, want %v", s, test.left)
				}
				if e := r.log.of(test.event); len(e) != test.count {
					t.Errorf("%d %s events, want %d", len(e), test.event, test.count)
				}
				if got.len() != test.reports {
					t.Errorf("%d reports, want %d", got.len(), test.reports)
				}
			})
		})
	}
}

// Of a delivery that goes to several domains by one smarthost, delete and bounce
// take the recipients they were asked for and no others, also when that has to
// wait for an attempt; what moves a delivery in time moves it whole.
func TestByDomainOnASmarthost(t *testing.T) {
	ctx := context.Background()
	typo := Selector{ToDomain: mail.MustParseDomain("typo.example")}
	tests := []struct {
		why            string
		do             func(*rig, Selector) (int, error)
		event          mail.EventKind
		to             string // whom the event is about
		left           string
		reports        int
		duringAttempts bool
	}{
		{"delete", func(r *rig, s Selector) (int, error) { return r.Delete(ctx, s) }, mail.EventDeleted, "[a@typo.example b@typo.example]", "c@y.example:deferred ", 0, false},
		{"bounce", func(r *rig, s Selector) (int, error) { return r.Bounce(ctx, s) }, mail.EventBounced, "[a@typo.example b@typo.example]", "a@typo.example:bounced c@y.example:deferred b@typo.example:bounced ", 1, false},
		{"delete while it is attempted", func(r *rig, s Selector) (int, error) { return r.Delete(ctx, s) }, mail.EventDeleted, "[a@typo.example b@typo.example]", "c@y.example:deferred ", 0, true},
		{"bounce while it is attempted", func(r *rig, s Selector) (int, error) { return r.Bounce(ctx, s) }, mail.EventBounced, "[a@typo.example b@typo.example]", "a@typo.example:bounced c@y.example:deferred b@typo.example:bounced ", 1, true},
		{"hold", func(r *rig, s Selector) (int, error) { return r.Hold(ctx, s) }, mail.EventHeld, "[a@typo.example c@y.example b@typo.example]", "a@typo.example:held c@y.example:held b@typo.example:held ", 0, false},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			var got reports
			inBubble(t, got.deliver(func(_ context.Context, a *Attempt) Outcome {
				time.Sleep(time.Second)
				return all(a, greylist)
			}), func(r *rig) {
				r.send("s@x.example", "a@typo.example", "c@y.example", "b@typo.example")
				if !test.duringAttempts {
					time.Sleep(time.Minute)
				}
				synctest.Wait()
				if n, err := test.do(r, typo); n != 1 || err != nil {
					t.Errorf("%d, %v", n, err)
				}
				time.Sleep(2 * time.Second)
				if e := r.log.of(test.event); len(e) != 1 || fmt.Sprint(e[0].To) != test.to {
					t.Errorf("events %v, want one about %s", e, test.to)
				}
				entries, _, err := r.List(ctx, Selector{}, DeliveryKey{}, 10)
				if err != nil || len(entries) != 1 {
					t.Fatalf("%d deliveries left, %v", len(entries), err)
				}
				left := ""
				for _, to := range entries[0].To {
					left += fmt.Sprintf("%s:%s ", to.Address, to.State)
				}
				if left != test.left || got.len() != test.reports {
					t.Errorf("left %s with %d reports, want %s with %d", left, got.len(), test.left, test.reports)
				}
				if entries, _, _ := r.List(ctx, typo, DeliveryKey{}, 10); len(entries) > 0 && test.event != mail.EventHeld {
					t.Error("still listed as mail to the domain")
				}
			}, func(o *Options) {
				o.Router = mxRouter{map[string]string{"y.example": "smart", "typo.example": "smart"}}
			})
		})
	}
}

func TestChangingEverythingTakesAll(t *testing.T) {
	inBubble(t, alwaysGreylisted, func(r *rig) {
		r.send("a@x.example", "b@y.example")
		if _, err := r.Delete(context.Background(), Selector{}); !errors.Is(err, ErrUnselective) {
			t.Errorf("deleting without saying what: %v", err)
		}
	})
}

// What an operator wants done with a delivery that is just being attempted is
// done when the attempt is over.
func TestHoldDuringAnAttempt(t *testing.T) {
	var seen tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		seen.note(a)
		time.Sleep(time.Minute)
		return all(a, greylist)
	}, func(r *rig) {
		id := r.send("a@x.example", "b@y.example")
		synctest.Wait()
		if n, err := r.Hold(context.Background(), Selector{IDs: []mail.ID{id}}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		time.Sleep(24 * time.Hour)
		if seen.len() != 1 || r.states()[Held] != 1 {
			t.Errorf("%d attempts, states %v", seen.len(), r.states())
		}
		if n, err := r.Release(context.Background(), Selector{All: true}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		synctest.Wait()
		if seen.len() != 2 {
			t.Error("not attempted at once after its release")
		}
	}, func(o *Options) { o.Retry.WarnAfter = 0 })
}

// Rules hold new mail, over restarts too, until they are removed.
func TestHoldRules(t *testing.T) {
	tests := []struct {
		why  string
		rule HoldRule
		held int // of a message to two destinations
	}{
		{"all new mail", HoldRule{Field: HoldAll}, 2},
		{"one recipient's domain", HoldRule{Field: HoldRecipient, Pattern: "*@Y.example"}, 1},
		{"the sender", HoldRule{Field: HoldSender, Pattern: "a@*"}, 2},
		{"a destination", HoldRule{Field: HoldRoute, Pattern: "mx/z.example"}, 1},
		{"a route", HoldRule{Field: HoldRoute, Pattern: "mx"}, 2},
		{"another sender", HoldRule{Field: HoldSender, Pattern: "b@*"}, 0},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			inBubble(t, alwaysTaken, func(r *rig) {
				if err := r.AddHoldRule(test.rule); err != nil {
					t.Fatal(err)
				}
				r.halt()
				r.start()
				r.send("a@x.example", "b@y.example", "c@z.example")
				time.Sleep(time.Hour)
				if n := r.states()[Held]; n != test.held {
					t.Errorf("%d held, want %d", n, test.held)
				}
				if err := r.RemoveHoldRule(test.rule); err != nil {
					t.Error(err)
				}
				if err := r.RemoveHoldRule(test.rule); !errors.Is(err, ErrNotFound) {
					t.Errorf("removed twice: %v", err)
				}
				if _, err := r.Delete(context.Background(), Selector{All: true}); err != nil {
					t.Error(err)
				}
				r.send("a@x.example", "b@y.example")
				synctest.Wait()
				if r.store.count() != 0 {
					t.Error("held without a rule")
				}
			})
		})
	}
}

// A suspended route is probed at the retry intervals, by one delivery, whatever
// waits; "queue retry" probes at once, and success lets everything flow.
func TestSuspendedRoute(t *testing.T) {
	var attempts atomic.Int64
	var fixed atomic.Bool
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		attempts.Add(1)
		if fixed.Load() {
			return all(a, taken)
		}
		return routeFault(a)
	}, func(r *rig) {
		for range 500 {
			r.send("a@x.example", "b@y.example")
		}
		time.Sleep(30 * time.Second)
		if s := r.Destinations(); len(s) != 1 || s[0].Status != Suspended || s[0].Backlog != 500 || s[0].Reason != "535 bad credentials" {
			t.Errorf("status: %+v", s)
		}
		first := attempts.Load()
		time.Sleep(4 * time.Hour) // probes after 1m, 5m, 15m, 30m, 1h, 2h
		if n := attempts.Load() - first; n < 5 || n > 7 {
			t.Errorf("%d probes in four hours", n)
		}
		time.Sleep(30 * 24 * time.Hour)
		if r.store.count() != 500 || len(r.log.of(mail.EventBounced))+len(r.log.of(mail.EventExpired)) > 0 {
			t.Fatalf("%d of 500 left: a route's fault has cost mail", r.store.count())
		}
		fixed.Store(true)
		if _, err := r.Retry(context.Background(), Selector{Route: "smart"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if r.store.count() != 0 {
			t.Errorf("%d left after the route was mended", r.store.count())
		}
	}, func(o *Options) {
		o.Router, o.Retry.WarnAfter = mxRouter{map[string]string{"y.example": "smart"}}, 0
	})
}

// With a new route table waiting mail moves to where it belongs now, divided if
// need be.
func TestNewRoutesMoveWaitingMail(t *testing.T) {
	var seen tries
	var moved atomic.Bool
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if moved.Load() && a.Delivery.Destination.Route == "smart" {
			return all(a, Result{Verdict: Reroute}) // the probe of the old route
		}
		seen.note(a)
		if a.Delivery.Destination.Route == "smart" {
			return routeFault(a)
		}
		return all(a, taken)
	}, func(r *rig) {
		r.send("a@x.example", "1@y.example", "2@z.example", "3@y.example")
		time.Sleep(time.Hour)
		before := seen.len()
		moved.Store(true)
		r.Reload(Reloadable{Router: mxRouter{}})
		synctest.Wait()
		after := seen.all()[before:]
		if len(after) != 2 || r.store.count() != 0 {
			t.Fatalf("%d attempts, %d messages left", len(after), r.store.count())
		}
		for _, a := range after {
			if want := map[string]int{"y.example": 2, "z.example": 1}[a.d.Destination.Domain.String()]; len(a.to) != want {
				t.Errorf("to %s: %v", a.d.Destination, a.to)
			}
		}
	}, func(o *Options) {
		o.Router, o.Retry.WarnAfter = mxRouter{map[string]string{"y.example": "smart", "z.example": "smart"}}, 0
	})
}

// A new route table that moves nothing reads what waits and leaves it at that: no
// delivery is claimed and read again.
func TestNewRoutesThatMoveNothing(t *testing.T) {
	inBubble(t, alwaysGreylisted, func(r *rig) {
		for i := range 50 {
			r.send("a@x.example", fmt.Sprintf("%d@y.example", i))
		}
		synctest.Wait()
		before := r.store.reads
		r.Reload(Reloadable{Router: mxRouter{}})
		synctest.Wait()
		if n := r.store.reads - before; n != 0 {
			t.Errorf("%d deliveries were read again", n)
		}
	})
}

// A message that can't be read is not divided by a new route table, and keeps no
// other from moving. When it can be read it goes the ways of its recipients.
func TestNewRoutesAndUnreadableMail(t *testing.T) {
	var seen tries
	var moved atomic.Bool
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		to := a.Delivery.Destination
		if to.Route == "smart" && !moved.Load() {
			return routeFault(a)
		}
		out := all(a, taken)
		for i, at := range a.Pending {
			if to.Domain != a.Envelope.Recipients[at].Address.Domain {
				out.Results[i] = Result{Verdict: Reroute}
			}
		}
		if took(&out) {
			seen.note(a)
		}
		return out
	}, func(r *rig) {
		bad := r.send("a@x.example", "1@y.example", "2@z.example")
		for range 5 {
			r.send("a@x.example", "1@y.example", "2@z.example")
		}
		time.Sleep(time.Hour)
		r.damage(bad, errors.New("input/output error"))
		moved.Store(true)
		r.Reload(Reloadable{Router: mxRouter{}})
		time.Sleep(time.Minute)
		if seen.len() != 10 || r.store.count() != 1 {
			t.Errorf("%d attempts, %d messages left; want 10 and the unreadable one", seen.len(), r.store.count())
		}
		r.damage(bad, nil)
		time.Sleep(time.Hour)
		if seen.len() != 12 || r.store.count() != 0 {
			t.Errorf("%d attempts, %d messages left; want 12 and none", seen.len(), r.store.count())
		}
	}, func(o *Options) {
		o.Router, o.Retry.WarnAfter = mxRouter{map[string]string{"y.example": "smart", "z.example": "smart"}}, 0
	})
}

// The same where an attempt was under way when the routes changed: its outcome is
// stored all the same.
func TestNewRoutesAndMailUnreadableSince(t *testing.T) {
	var seen tries
	var gate chan struct{} // made in the bubble
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if seen.note(a) == 1 {
			<-gate
			return all(a, greylist)
		}
		return all(a, taken)
	}, func(r *rig) {
		gate = make(chan struct{})
		id := r.send("a@x.example", "1@y.example", "2@z.example")
		synctest.Wait()
		r.damage(id, errors.New("input/output error"))
		r.Reload(Reloadable{Router: mxRouter{}})
		close(gate)
		synctest.Wait()
		list, _, err := r.List(context.Background(), Selector{IDs: []mail.ID{id}}, DeliveryKey{}, 10)
		if err != nil || len(list) != 1 || list[0].State != Deferred || len(list[0].To) != 2 {
			t.Fatalf("stored: %+v (%v)", list, err)
		}
		if n, err := r.Delete(context.Background(), Selector{IDs: []mail.ID{id}}); n != 1 || err != nil || r.store.count() != 0 {
			t.Errorf("%d deleted (%v), %d left", n, err, r.store.count())
		}
	}, func(o *Options) { o.Router = mxRouter{map[string]string{"y.example": "smart", "z.example": "smart"}} })
}

// Stop waits for attempts; those that take too long are broken off and are done
// again after the next start, without having counted.
func TestStopWhileAttemptsRun(t *testing.T) {
	var seen tries
	inBubble(t, func(ctx context.Context, a *Attempt) Outcome {
		if seen.note(a) > 2 {
			return all(a, taken)
		}
		select {
		case <-time.After(time.Duration(a.Envelope.Size%2+1) * time.Hour):
		case <-ctx.Done():
		}
		return all(a, Result{Reason: "broken off"})
	}, func(r *rig) {
		r.send("a@x.example", "b@y.example")
		r.send("a@x.example", "b@y.example")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
		defer cancel()
		began := time.Now()
		if err := r.Stop(ctx); err == nil || err.Error() != "2 attempts were broken off" {
			t.Errorf("the stop came to %v", err)
		}
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("stopping took %s", took)
		}
		if err := r.Stop(ctx); err != nil {
			t.Error("stopping again:", err)
		}
		if _, err := r.Receive(ctx); err == nil {
			t.Error("takes mail after Stop")
		}
		r.start()
		synctest.Wait()
		if r.store.count() != 0 || seen.len() != 4 {
			t.Errorf("%d left after %d attempts", r.store.count(), seen.len())
		}
		for _, a := range seen.all() {
			if a.d.Attempts != 0 {
				t.Error("a broken-off attempt has counted")
			}
		}
	})
}

func TestStats(t *testing.T) {
	inBubble(t, alwaysGreylisted, func(r *rig) {
		r.send("a@x.example", "b@y.example", "c@z.example")
		time.Sleep(15 * time.Minute)
		r.send("a@x.example", "b@y.example")
		synctest.Wait()
		s, err := r.Stats(context.Background())
		if err != nil || s.Messages != 2 || len(s.Rows) != 2 {
			t.Fatalf("%+v, %v", s, err)
		}
		y := s.Rows[0]
		if y.Destination != "mx/y.example" || y.State != Deferred || y.Deliveries != 2 || y.ByAge[0] != 1 || y.ByAge[2] != 1 {
			t.Errorf("row: %+v", y)
		}
	})
}

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"a@b", "A@B", true}, {"a@b", "a@bc", false}, {"*@b", "x@b", true}, {"*@b", "x@b.c", false},
		{"*", "", true}, {"a*c*e", "abcde", true}, {"a*c*e", "abde", false}, {"*@*.b", "x@y.b", true},
		{"aa*aa", "aaa", false},
	} {
		if got := glob(test.pattern, test.s); got != test.want {
			t.Errorf("glob(%q, %q) = %t", test.pattern, test.s, got)
		}
	}
}
