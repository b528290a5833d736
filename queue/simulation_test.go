package queue

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// A dead destination with 100,000 messages, a slow one, a newsletter with 10,000
// recipients: mail to a fast destination arrives as if it were alone.
func TestFastDestinationStaysFast(t *testing.T) {
	const (
		dead  = 100_000
		slow  = 2_000
		hop   = 50 * time.Millisecond // an attempt at the fast destination
		hours = 6
	)
	var deadAttempts, slowAttempts, newsletter, worst atomic.Int64
	inBubble(t, func(ctx context.Context, a *Attempt) Outcome {
		switch a.Delivery.Destination.Domain.String() {
		case "dead.example":
			deadAttempts.Add(1)
			time.Sleep(30 * time.Second) // a connection timeout
			return unreachable(a)
		case "slow.example":
			slowAttempts.Add(1)
			time.Sleep(20 * time.Second)
			return all(a, taken)
		case "fast.example":
			time.Sleep(hop)
			took := int64(time.Since(a.Envelope.Arrival))
			for w := worst.Load(); took > w && !worst.CompareAndSwap(w, took); w = worst.Load() {
			}
			return all(a, taken)
		}
		time.Sleep(time.Second)
		newsletter.Add(int64(len(a.Pending)))
		return all(a, taken)
	}, func(r *rig) {
		for i := range dead {
			if i%20 == 0 {
				time.Sleep(time.Millisecond)
			}
			r.send("batch@x.example", fmt.Sprintf("u%d@dead.example", i))
		}
		for i := range slow {
			r.send("app@x.example", fmt.Sprintf("u%d@slow.example", i))
		}
		e := &mail.Envelope{Identity: mail.Identity{Name: "news"}}
		var to []string
		for i := range 10_000 {
			to = append(to, fmt.Sprintf("u%d@d%d.example", i, i%500))
		}
		r.submit(e, "news@x.example", to...)
		for range hours * 60 {
			r.send("app@x.example", "u@fast.example")
			time.Sleep(time.Minute)
		}
		synctest.Wait()
		if n := newsletter.Load(); n != 10_000 {
			t.Errorf("%d recipients of the newsletter were reached", n)
		}
		if took := time.Duration(worst.Load()); took > 2*hop {
			t.Errorf("mail to the fast destination took %s, alone it takes %s", took, hop)
		}
		// Six hours are eight intervals: 1m, 5m, 15m, 30m, 1h, 2h, 4h.
		if n := deadAttempts.Load(); n > 2+8 {
			t.Errorf("%d attempts at the dead destination; one an interval is enough", n)
		}
		if n := slowAttempts.Load(); n != slow {
			t.Errorf("%d attempts at the slow destination in %d hours, want %d", n, hours, slow)
		}
		if got := r.Totals().By[Destination{"mx", mail.MustParseDomain("dead.example")}]; got[Active].Deliveries+got[Deferred].Deliveries != dead {
			t.Errorf("backlog of the dead destination: %+v", got)
		}
	}, func(o *Options) { o.Retry.WarnAfter = 0 })
}

// When a dead destination comes back its whole backlog flows at once: nothing
// waits for a retry time of its own.
func TestBacklogDrainsWhenDestinationIsBack(t *testing.T) {
	const backlog = 5_000
	var mu sync.Mutex // guards what follows
	up := false
	delivered := 0
	var first, last time.Time
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		mu.Lock()
		defer mu.Unlock()
		if !up {
			return unreachable(a)
		}
		mu.Unlock()
		time.Sleep(100 * time.Millisecond)
		mu.Lock()
		if first.IsZero() {
			first = time.Now()
		}
		last = time.Now()
		delivered++
		return all(a, taken)
	}, func(r *rig) {
		for i := range backlog {
			r.send("a@x.example", fmt.Sprintf("u%d@y.example", i))
		}
		time.Sleep(3 * time.Hour)
		mu.Lock()
		up = true
		mu.Unlock()
		time.Sleep(3 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if delivered != backlog {
			t.Fatalf("%d of %d delivered", delivered, backlog)
		}
		// 20 at once, 0.1 s each: 25 s and the start with few.
		if took := last.Sub(first); took > time.Minute {
			t.Errorf("draining took %s", took)
		}
	}, func(o *Options) { o.Retry.WarnAfter = 0 })
}

// Two identities with mail for one destination take turns, however much one of
// them has queued.
func TestIdentitiesTakeTurns(t *testing.T) {
	var mu sync.Mutex // guards order
	var order []string
	release := make(chan struct{})
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		<-release
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		order = append(order, a.Delivery.Identity)
		return all(a, taken)
	}, func(r *rig) {
		for range 1000 {
			r.submit(&mail.Envelope{Identity: mail.Identity{Name: "newsletter"}}, "n@x.example", "u@y.example")
		}
		for range 10 {
			r.submit(&mail.Envelope{Identity: mail.Identity{Name: "shop"}}, "s@x.example", "u@y.example")
		}
		close(release)
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		seen := 0
		for i, name := range order {
			if name == "shop" {
				seen++
			}
			if seen == 10 {
				if i > 30 {
					t.Errorf("the tenth message of the small identity went as number %d", i+1)
				}
				return
			}
		}
		t.Errorf("only %d messages of the small identity went out", seen)
	}, func(o *Options) { o.DestinationConcurrency = 1 })
}

// New mail goes before retries and bulk, and neither of them starves.
func TestClassesByWeight(t *testing.T) {
	var mu sync.Mutex // guards order
	var order []Class
	var gate atomic.Bool
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if !gate.Load() {
			return all(a, greylist)
		}
		time.Sleep(time.Second)
		mu.Lock()
		defer mu.Unlock()
		order = append(order, a.Delivery.Lane().Class)
		return all(a, taken)
	}, func(r *rig) {
		for range 100 {
			r.send("a@x.example", "old@y.example")
		}
		synctest.Wait()
		if _, err := r.Hold(context.Background(), Selector{All: true}); err != nil {
			t.Fatal(err)
		}
		if err := r.AddHoldRule(HoldRule{Field: HoldAll}); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			r.send("a@x.example", "new@y.example")
		}
		to := make([]string, 100)
		for i := range to {
			to[i] = fmt.Sprintf("bulk%d@y.example", i)
		}
		r.send("a@x.example", to...)
		gate.Store(true)
		if n, err := r.Release(context.Background(), Selector{All: true}); err != nil || n != 300 {
			t.Fatal(n, err)
		}
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if len(order) != 300 {
			t.Fatalf("%d delivered", len(order))
		}
		var of [3]int
		for _, c := range order[:26] {
			of[c]++
		}
		if of[ClassNew] < 2*of[ClassBulk] || of[ClassBulk] <= of[ClassRetry] || of[ClassRetry] == 0 {
			t.Errorf("of the first 26: %d new, %d bulk, %d retries", of[ClassNew], of[ClassBulk], of[ClassRetry])
		}
	}, func(o *Options) { o.DestinationConcurrency, o.RecipientsPerDelivery, o.Retry.WarnAfter = 1, 1, 0 })
}

// Concurrency begins at two, grows with success to the bound, and shrinks when
// the next hop asks for less.
func TestConcurrencyFollowsTheNextHop(t *testing.T) {
	const bears = 8
	var mu sync.Mutex // guards what follows
	running, most, refusals := 0, 0, 0
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		mu.Lock()
		defer mu.Unlock()
		running++
		defer func() { running-- }()
		most = max(most, running)
		if running > bears {
			refusals++
			out := all(a, greylist)
			out.Fault, out.FaultReply = Throttled, mail.Reply{Code: 421, Text: "too many connections"}
			return out
		}
		mu.Unlock()
		time.Sleep(time.Second)
		mu.Lock()
		return all(a, taken)
	}, func(r *rig) {
		for i := range 1000 {
			r.send("a@x.example", fmt.Sprintf("u%d@y.example", i))
		}
		synctest.Wait()
		mu.Lock()
		atFirst := most
		mu.Unlock()
		time.Sleep(time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if atFirst != firstLimit {
			t.Errorf("%d attempts at once at first, want %d", atFirst, firstLimit)
		}
		if most <= bears/2 {
			t.Errorf("at most %d attempts at once, the next hop bears %d", most, bears)
		}
		if refusals > 50 {
			t.Errorf("%d refusals for 1000 messages: it never learns", refusals)
		}
		if r.store.count() != 0 {
			t.Errorf("%d messages left", r.store.count())
		}
	}, func(o *Options) { o.DestinationConcurrency = 50 })
}
