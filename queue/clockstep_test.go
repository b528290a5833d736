package queue

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// However the clock is set, and however short the intervals become, a refused
// sender's mail costs a few attempts, others' flows, and the scheduler never goes
// round in circles.
func TestRefusedSenderWhenTimesChange(t *testing.T) {
	short := config.Retry{Lifetime: plan.Lifetime, Intervals: plan.Intervals[:1]}
	tests := []struct {
		why    string
		change func(*rig)
		most   int64 // attempts of the refused sender in the hour after it
	}{
		{"a day back, beyond the longest wait", func(r *rig) { r.step.Store(int64(-24 * time.Hour)) }, 6},
		{"an hour back", func(r *rig) { r.step.Store(int64(-time.Hour)) }, 6},
		{"a year ahead", func(r *rig) { r.step.Store(int64(365 * 24 * time.Hour)) }, 6},
		{"intervals shorter than the pause", func(r *rig) { r.Reload(Reloadable{Retry: &short}) }, 80},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			var asked atomic.Int64
			var mended atomic.Bool
			inBubble(t, refuses(&asked, &mended), func(r *rig) {
				r.send("app@good.example", "b@y.example")
				time.Sleep(time.Second)
				for range 3 {
					r.send("app@bad.example", "b@y.example")
				}
				time.Sleep(3 * time.Hour)
				asked.Store(0)
				test.change(r)
				time.Sleep(time.Hour)
				if n := asked.Load(); n < 2 || n > test.most {
					t.Errorf("%d attempts in the hour after it, want 2 to %d", n, test.most)
				}
				r.send("app@good.example", "b@y.example")
				time.Sleep(time.Second)
				if n := r.store.count(); n != 3 {
					t.Errorf("%d messages left, want the 3 of the refused sender", n)
				}
			}, oneSmarthost)
		})
	}
}

// A destination that is down keeps its pauses when the clock is set: neither is it
// tried in a loop nor forgotten.
func TestPauseOfADestinationWhenTheClockIsSet(t *testing.T) {
	for _, step := range []time.Duration{-365 * 24 * time.Hour, -48 * time.Hour, -time.Hour, time.Hour, 48 * time.Hour} {
		t.Run(step.String(), func(t *testing.T) {
			var attempts atomic.Int64
			inBubble(t, func(_ context.Context, a *Attempt) Outcome {
				time.Sleep(time.Second) // or a loop would stop the time of the bubble
				attempts.Add(1)
				return unreachable(a)
			}, func(r *rig) {
				for range 5 {
					r.send("a@x.example", "b@y.example")
				}
				time.Sleep(6 * time.Hour)
				attempts.Store(0)
				r.step.Store(int64(step))
				time.Sleep(10 * time.Hour)
				if n := attempts.Load(); n < 2 || n > 4 {
					t.Errorf("%d attempts in ten hours, want one every four", n)
				}
			}, func(o *Options) { o.Retry.WarnAfter = 0 })
		})
	}
}

// When the clock is set back all that waits for its retry is tried within the
// longest interval and expires in time, however much it is: not only as much as
// one page.
func TestBacklogWhenTheClockIsSetBack(t *testing.T) {
	for _, test := range []struct {
		why     string
		restart bool
	}{{"while it runs", false}, {"while it is off", true}} {
		t.Run(test.why, func(t *testing.T) {
			var mu sync.Mutex
			tried := map[mail.ID]bool{}
			inBubble(t, func(_ context.Context, a *Attempt) Outcome {
				mu.Lock()
				defer mu.Unlock()
				tried[a.Envelope.ID] = true
				return all(a, greylist)
			}, func(r *rig) {
				const backlog = 3*sweepPage + 7
				for range backlog {
					r.send("a@x.example", "b@y.example")
				}
				time.Sleep(20 * time.Hour)
				if test.restart {
					r.halt()
				}
				r.step.Store(int64(-365 * 24 * time.Hour))
				if test.restart {
					r.start()
				}
				mu.Lock()
				clear(tried)
				mu.Unlock()
				time.Sleep(5 * time.Hour)
				mu.Lock()
				n := len(tried)
				mu.Unlock()
				if n != backlog {
					t.Errorf("%d of %d were tried within the longest interval", n, backlog)
				}
				time.Sleep(plan.Lifetime - 25*time.Hour + 30*time.Minute)
				if n := len(r.log.of(mail.EventExpired)); n != backlog {
					t.Errorf("%d of %d expired in time", n, backlog)
				}
			}, func(o *Options) { o.Retry.WarnAfter = 0 })
		})
	}
}

// Intervals that are shortened hold for what waits already, all of it.
func TestShorterIntervalsHoldForAll(t *testing.T) {
	var seen tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		seen.note(a)
		return all(a, greylist)
	}, func(r *rig) {
		const backlog = 300
		for range backlog {
			r.send("a@x.example", "b@y.example")
		}
		time.Sleep(20 * time.Hour)
		short := config.Retry{Lifetime: plan.Lifetime, Intervals: plan.Intervals[:1]}
		r.Reload(Reloadable{Retry: &short})
		before := seen.len()
		time.Sleep(10 * time.Minute)
		if n := seen.len() - before; n < 5*backlog {
			t.Errorf("%d attempts at %d messages in ten intervals", n, backlog)
		}
	}, func(o *Options) { o.Retry.WarnAfter = 0 })
}

// Mail that came while the clock was ahead is warned about and expires in its time
// once that has been corrected, and so is what came after: their IDs are not in
// order of arrival.
func TestSweepsAfterTheClockWasAhead(t *testing.T) {
	for _, ahead := range []time.Duration{3 * time.Hour, 48 * time.Hour, 365 * 24 * time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			var got reports
			inBubble(t, got.deliver(alwaysUnreachable), func(r *rig) {
				const backlog = 50 // hardly any of it is ever attempted
				r.step.Store(int64(ahead))
				time.Sleep(2 * keepEvery)
				for range backlog {
					r.send("a@x.example", "b@y.example")
				}
				time.Sleep(5 * time.Hour)
				if n := got.with("Action: delayed"); n != backlog {
					t.Fatalf("%d of %d are told of a delay", n, backlog)
				}
				for range backlog {
					r.send("a@x.example", "b@y.example")
				}
				r.step.Store(0)
				time.Sleep(time.Hour)
				for range backlog {
					r.send("a@x.example", "b@y.example")
				}
				wait := func(d time.Duration) {
					if ahead < d {
						d += ahead // of two readings of an age the shorter holds
					}
					time.Sleep(d)
				}
				wait(5 * time.Hour)
				if n := got.with("Action: delayed"); n != 3*backlog {
					t.Errorf("%d of %d are told of a delay", n, 3*backlog)
				}
				wait(plan.Lifetime - 5*time.Hour + 2*keepEvery)
				if n := got.with("Action: failed"); n != 3*backlog {
					t.Errorf("%d of %d are returned", n, 3*backlog)
				}
			})
		})
	}
}
