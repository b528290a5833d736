package queue

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// reports returns the reports in the queue or taken from it, as text, when the
// deliverer is told to keep them.
type reports struct{ tries }

func (k *reports) deliver(then deliverFunc) deliverFunc {
	return func(ctx context.Context, a *Attempt) Outcome {
		if !a.Envelope.From.IsNull() {
			return then(ctx, a)
		}
		b := make([]byte, a.Content.Size())
		_, _ = a.Content.ReadAt(b, 0)
		k.mu.Lock()
		defer k.mu.Unlock()
		k.list = append(k.list, try{at: time.Now(), from: string(b), to: []string{a.Envelope.Recipients[0].Address.String()}})
		return all(a, taken)
	}
}

// with counts the reports that hold text.
func (k *reports) with(text string) (n int) {
	for _, r := range k.all() {
		if strings.Contains(r.from, text) {
			n++
		}
	}
	return n
}

func alwaysGreylisted(_ context.Context, a *Attempt) Outcome  { return all(a, greylist) }
func alwaysUnreachable(_ context.Context, a *Attempt) Outcome { return unreachable(a) }
func alwaysTaken(_ context.Context, a *Attempt) Outcome       { return all(a, taken) }
func suspendedForever(_ context.Context, a *Attempt) Outcome  { return routeFault(a) }

func alwaysThrottled(_ context.Context, a *Attempt) Outcome {
	busy := mail.Reply{Code: 421, Enhanced: mail.EnhancedCode{4, 7, 0}, Text: "too many connections"}
	out := all(a, Result{Verdict: Defer, Reply: busy, Host: "mx.example"})
	out.Fault, out.FaultReply = Throttled, busy
	return out
}

func routeFault(a *Attempt) Outcome {
	out := all(a, Result{Verdict: Defer, Reply: mail.Reply{Code: 535, Text: "bad credentials"}, Host: "smart.example"})
	out.Fault, out.FaultReply = RouteFault, mail.Reply{Code: 535, Text: "bad credentials"}
	return out
}

func TestExpiresAndWarns(t *testing.T) {
	tests := []struct {
		why             string
		deliver         deliverFunc
		notify          mail.Notify
		warned, expired int
		left            int
	}{
		{"deferred again and again", alwaysGreylisted, 0, 1, 1, 0},
		{"destination down for its whole life", alwaysUnreachable, 0, 1, 1, 0},
		{"a suspended route expires nothing, and reports go another way", suspendedForever, 0, 1, 0, 1},
		{"NOTIFY=NEVER", alwaysGreylisted, mail.NotifyNever, 0, 0, 0},
		{"NOTIFY=FAILURE", alwaysGreylisted, mail.NotifyFailure, 0, 1, 0},
		{"NOTIFY=DELAY", alwaysGreylisted, mail.NotifyDelay, 1, 0, 0},
		{"NOTIFY=SUCCESS", alwaysGreylisted, mail.NotifySuccess, 0, 0, 0},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			var got reports
			inBubble(t, got.deliver(test.deliver), func(r *rig) {
				e := &mail.Envelope{Recipients: []mail.Recipient{{Address: mail.MustParseAddress("b@y.example"), Notify: test.notify}}}
				r.submit(e, "a@x.example")
				time.Sleep(plan.WarnAfter - time.Hour)
				if got.len() != 0 {
					t.Error("a report before it is time")
				}
				time.Sleep(plan.Lifetime - plan.WarnAfter)
				if r.store.count() != 1 {
					t.Error("expired before its lifetime was over")
				}
				time.Sleep(3 * time.Hour)
				if n := got.with("Action: delayed"); n != test.warned {
					t.Errorf("%d delay reports, want %d", n, test.warned)
				}
				if n := got.with("Action: failed"); n != test.expired {
					t.Errorf("%d failure reports, want %d", n, test.expired)
				}
				if n := r.store.count(); n != test.left {
					t.Errorf("%d messages left, want %d", n, test.left)
				}
				if n := len(r.log.of(mail.EventExpired)); n != 1-test.left {
					t.Errorf("%d expired events, want %d", n, 1-test.left)
				}
			})
		})
	}
}

// Whatever waits for a destination in trouble expires in time, though hardly any of
// it is attempted.
func TestBacklogOfADeadDestinationExpires(t *testing.T) {
	for _, c := range []struct {
		reason  string
		deliver deliverFunc
		why     string
	}{
		{"nobody answers", alwaysUnreachable, "connection refused"},
		{"it always asks for less", alwaysThrottled, "too many connections"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			var got reports
			inBubble(t, got.deliver(c.deliver), func(r *rig) {
				for range 600 {
					r.send("a@x.example", "b@y.example")
				}
				time.Sleep(plan.Lifetime + 10*time.Minute)
				if r.store.count() != 0 || got.with("Action: failed") != 600 {
					t.Errorf("%d left, %d reports", r.store.count(), got.with("Action: failed"))
				}
				if got.with(c.why) == 0 {
					t.Error("no report says why")
				}
				if got.with("Action: delayed") != 600 {
					t.Errorf("%d delay reports", got.with("Action: delayed"))
				}
			})
		})
	}
}

// A smarthost that is mended, and asks for less when everything comes at once, returns
// nothing of a backlog that has grown old while it was broken.
func TestOldBacklogIsTried(t *testing.T) {
	var mended atomic.Bool
	var tried atomic.Int64
	inBubble(t, func(ctx context.Context, a *Attempt) Outcome {
		switch {
		case !mended.Load():
			return routeFault(a)
		case tried.Add(1) > 20 && tried.Load() < 60:
			return alwaysThrottled(ctx, a)
		}
		time.Sleep(2 * time.Second)
		return all(a, taken)
	}, func(r *rig) {
		for i := range 500 {
			r.send("a@x.example", fmt.Sprintf("%d@y.example", i))
		}
		time.Sleep(plan.Lifetime + 24*time.Hour)
		mended.Store(true)
		r.Reload(Reloadable{Router: r.o.Router})
		time.Sleep(12 * time.Hour)
		if d := len(r.log.of(mail.EventDelivered)); r.store.count() != 0 || d < 460 {
			t.Errorf("%d left, %d delivered of 500", r.store.count(), d)
		}
	}, func(o *Options) {
		o.Router, o.Retry.WarnAfter = mxRouter{map[string]string{"y.example": "smart"}}, 0
	})
}

func TestSuccessReports(t *testing.T) {
	tests := []struct {
		why     string
		notify  mail.Notify
		relayed bool
		want    int
	}{
		{"nobody asked", 0, false, 0},
		{"asked, and the next hop makes no reports", mail.NotifySuccess, false, 1},
		{"asked, and the next hop will tell", mail.NotifySuccess, true, 0},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			var got reports
			inBubble(t, got.deliver(func(_ context.Context, a *Attempt) Outcome {
				res := taken
				res.Relayed = test.relayed
				return all(a, res)
			}), func(r *rig) {
				e := &mail.Envelope{EnvelopeID: "env-7", Recipients: []mail.Recipient{{
					Address: mail.MustParseAddress("b@y.example"), Notify: test.notify, OriginalType: "rfc822", Original: "alias@x.example"}}}
				r.submit(e, "a@x.example")
				synctest.Wait()
				if n := got.with("Action: relayed"); n != test.want {
					t.Errorf("%d reports, want %d", n, test.want)
				}
				if test.want > 0 && (got.with("env-7") != 1 || got.with("alias@x.example") != 1) {
					t.Error("the report lacks ENVID or ORCPT")
				}
			})
		})
	}
}

// A report that can't be delivered goes nowhere and is kept for the operator.
func TestUndeliverableReportIsDead(t *testing.T) {
	inBubble(t, func(_ context.Context, a *Attempt) Outcome { return all(a, refused) }, func(r *rig) {
		r.send("a@x.example", "b@y.example")
		synctest.Wait()
		list, _, err := r.List(context.Background(), Selector{States: []State{Dead}}, DeliveryKey{}, 10)
		if err != nil || len(list) != 1 || list[0].From != "<>" || list[0].Due != nil {
			t.Fatalf("dead letters: %+v, %v", list, err)
		}
		if e := r.log.of(mail.EventDead); len(e) != 1 || e[0].Reply.Code != 550 {
			t.Errorf("dead events: %+v", e)
		}
		time.Sleep(30 * 24 * time.Hour)
		if r.store.count() != 1 {
			t.Error("the dead letter is gone")
		}
		if n, err := r.Retry(context.Background(), Selector{All: true}); n != 1 || err != nil {
			t.Error(n, err)
		}
		synctest.Wait()
		if e := r.log.of(mail.EventDead); len(e) != 2 {
			t.Errorf("retried: %d dead events", len(e))
		}
	})
}

func TestReportsGoWhereThePolicySays(t *testing.T) {
	for where, want := range map[string]string{"": "a@x.example", "none": "", "boss@z.example": "boss@z.example"} {
		var got reports
		inBubble(t, got.deliver(func(_ context.Context, a *Attempt) Outcome { return all(a, refused) }), func(r *rig) {
			r.submit(&mail.Envelope{Reports: where}, "a@x.example", "b@y.example")
			synctest.Wait()
			to := ""
			for _, g := range got.all() {
				to += g.to[0]
			}
			if to != want || r.store.count() != 0 {
				t.Errorf("reports %q: went to %q, %d messages left", where, to, r.store.count())
			}
		})
	}
}

// Steps of the wall clock neither expire mail nor keep it waiting.
func TestWallClockSteps(t *testing.T) {
	year := 365 * 24 * time.Hour
	tests := []struct {
		why      string
		step     time.Duration
		restarts bool // the step happens while the relay is off
		deliver  deliverFunc
		late     time.Duration // how much longer than its lifetime it may be kept
	}{
		{"a year forward, destination down", year, false, alwaysUnreachable, 0},
		{"a year forward, greylisted", year, false, alwaysGreylisted, 0},
		{"a year back, greylisted", -year, false, alwaysGreylisted, 0},
		{"an hour back, greylisted", -time.Hour, false, alwaysGreylisted, 0},
		{"off for a year, greylisted", year, true, alwaysGreylisted, 0},
		{"off for a year, destination down", year, true, alwaysUnreachable, 0},
		{"back by a year over a restart", -year, true, alwaysGreylisted, 0},
		{"back by a day over a restart, greylisted", -24 * time.Hour, true, alwaysGreylisted, 24 * time.Hour},
		{"back by a day over a restart, destination down", -24 * time.Hour, true, alwaysUnreachable, 24 * time.Hour},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			var seen tries
			var got reports
			inBubble(t, got.deliver(func(ctx context.Context, a *Attempt) Outcome {
				seen.note(a)
				return test.deliver(ctx, a)
			}), func(r *rig) {
				r.send("a@x.example", "b@y.example")
				time.Sleep(24 * time.Hour)
				if test.restarts {
					r.halt()
					r.step.Store(int64(test.step))
					r.start()
				} else {
					r.step.Store(int64(test.step))
				}
				before := seen.len()
				time.Sleep(5 * time.Hour) // the longest interval with its jitter
				if r.store.count() != 1 {
					t.Fatal("expired by the step")
				}
				if seen.len() == before {
					t.Error("not attempted for longer than any interval")
				}
				time.Sleep(plan.Lifetime + test.late + 30*time.Minute - 29*time.Hour)
				if n := r.store.count(); n != 0 {
					t.Errorf("lives on after its lifetime, %d left", n)
				}
				if n := got.with("Action: failed"); n != 1 {
					t.Errorf("%d failure reports", n)
				}
			})
		})
	}
}

func TestAgeLeavesGapsOut(t *testing.T) {
	at := func(h int) time.Time { return time.Date(2026, 1, 1, h, 0, 0, 0, time.UTC) }
	tests := []struct {
		why          string
		gaps         []gap
		arrival, now time.Time
		want         time.Duration
	}{
		{"no gap", nil, at(1), at(4), 3 * time.Hour},
		{"a step forward since", []gap{{at(2), time.Hour}}, at(1), at(4), 2 * time.Hour},
		{"a step forward before it came", []gap{{at(0), time.Hour}}, at(1), at(4), 3 * time.Hour},
		{"a step back since, arrival is in the future", []gap{{at(10), -8 * time.Hour}}, at(9), at(3), 2 * time.Hour},
		{"a step back since, arrival long before", []gap{{at(10), -2 * time.Hour}}, at(1), at(9), 10 * time.Hour},
		{"a step back, arrival before or after it: the younger", []gap{{at(10), -8 * time.Hour}}, at(3), at(4), time.Hour},
		{"it came after the last sign of life before an absence", []gap{{at(2), 10 * time.Hour}}, at(3), at(14), 2 * time.Hour},
		{"it came after a step forward was taken back", []gap{{at(2), 10 * time.Hour}, {at(13), -10 * time.Hour}}, at(4), at(5), time.Hour},
		{"it came as an absence ended", []gap{{at(2), 10 * time.Hour}}, at(12), at(14), 2 * time.Hour},
		{"two steps", []gap{{at(2), time.Hour}, {at(5), time.Hour}}, at(1), at(8), 5 * time.Hour},
		{"never negative", nil, at(5), at(4), 0},
	}
	for _, test := range tests {
		c := newClock(time.Now)
		c.gaps = test.gaps
		if got := c.age(test.arrival, test.now); got != test.want {
			t.Errorf("%s: %s, want %s", test.why, got, test.want)
		}
	}
}

func TestRetryPlan(t *testing.T) {
	p := retryPlan{config.Retry{Intervals: []time.Duration{time.Minute, time.Hour}}}
	now := time.Now()
	for n, want := range map[int]time.Duration{0: time.Minute, 1: time.Minute, 2: time.Hour, 3: time.Hour, 99: time.Hour} {
		if got := p.interval(n); got != want {
			t.Errorf("interval %d is %s, want %s", n, got, want)
		}
		for range 1000 {
			if w := p.wait(n); w < want*9/10 || w > want*11/10 {
				t.Fatalf("wait %d is %s", n, w)
			}
		}
	}
	for _, test := range []struct {
		why  string
		in   time.Duration
		want bool
	}{
		{"the past", -time.Hour, true}, {"now", 0, true}, {"soon", time.Second, false},
		{"the longest wait with its jitter", 66 * time.Minute, false}, {"no wait is as long", 68 * time.Minute, true},
	} {
		if got := p.due(now.Add(test.in), now); got != test.want {
			t.Errorf("%s: due is %t", test.why, got)
		}
	}
}

// A delay report that would wait behind the same broken route is not made: it
// would only double the backlog.
func TestNoReportsBehindASuspendedRoute(t *testing.T) {
	inBubble(t, suspendedForever, func(r *rig) {
		for range 50 {
			r.send("a@x.example", "b@y.example")
		}
		time.Sleep(plan.Lifetime)
		if n := r.store.count(); n != 50 {
			t.Errorf("%d messages in the queue, 50 were sent", n)
		}
	}, func(o *Options) { o.Router = mxRouter{map[string]string{"x.example": "smart", "y.example": "smart"}} })
}
