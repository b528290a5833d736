package policy

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

func hourly(n int) config.Policy {
	return config.Policy{Name: "p", Limits: config.PolicyLimits{Messages: config.Rate{Count: n, Per: time.Hour}}}
}

// send returns how many of n messages of size octets were let through.
func send(p *Policy, name string, n int, size int64) (passed int) {
	for range n {
		if _, err := p.Message(&mail.Identity{Name: name}, size, nil); err == nil {
			passed++
		}
	}
	return passed
}

func TestMessagesPerHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy(t, nil, hourly(1000))
		id := &mail.Identity{Name: "a"}
		for _, row := range []struct {
			reason     string
			after      time.Duration
			try, sent  int
			wouldStart string // Sender's answer afterwards
		}{
			{"a burst of the whole hour", 0, 1500, 1000, `450 4.7.1 policy "p": limit of 1000/hour for messages reached, try again in 4s`},
			{"nothing at once after it", 3 * time.Second, 5, 0, `450 4.7.1 policy "p": limit of 1000/hour for messages reached, try again in 1s`},
			{"then one every 3.6 s", 600 * time.Millisecond, 5, 1, `450 4.7.1 policy "p": limit of 1000/hour for messages reached, try again in 4s`},
			{"a quarter of an hour gives a quarter", 15 * time.Minute, 500, 250, `450 4.7.1 policy "p": limit of 1000/hour for messages reached, try again in 4s`},
			{"a quiet hour gives the whole burst again", time.Hour, 1500, 1000, `450 4.7.1 policy "p": limit of 1000/hour for messages reached, try again in 4s`},
			{"a quiet week gives no more", 7 * 24 * time.Hour, 999, 999, ``},
		} {
			time.Sleep(row.after)
			if got := send(p, "a", row.try, 1); got != row.sent {
				t.Errorf("%s: %d of %d passed, want %d", row.reason, got, row.try, row.sent)
			}
			says(t, row.reason, p.Sender(id, mail.Path{}, 0), row.wouldStart)
		}
		if got := send(p, "b", 10, 1); got != 10 {
			t.Errorf("another identity: %d of 10 passed", got)
		}
	})
}

func TestBytesPerHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy(t, nil, config.Policy{Name: "p", Limits: config.PolicyLimits{
			Bytes: config.SizeRate{Size: 3600, Per: time.Hour}, Messages: config.Rate{Count: 100, Per: time.Hour},
		}})
		if got := send(p, "a", 10, 1000); got != 3 {
			t.Errorf("%d messages of 1000 octets passed, want 3", got)
		}
		id := &mail.Identity{Name: "a"}
		says(t, "announced too big for now", p.Sender(id, mail.Path{}, 1000),
			`450 4.7.1 policy "p": limit of 3600/hour for bytes reached, try again in 6m41s`)
		says(t, "announced small enough", p.Sender(id, mail.Path{}, 600), "")
		time.Sleep(400 * time.Second)
		if got := send(p, "a", 10, 1000); got != 1 {
			t.Errorf("after 400 s %d passed, want 1", got)
		}
		// What was refused for its octets did not use up messages.
		if got := send(p, "a", 200, 0); got < 96 || got > 100 {
			t.Errorf("%d empty messages passed", got)
		}
	})
}

func TestUndo(t *testing.T) {
	octets := config.Policy{Name: "p", Limits: config.PolicyLimits{Bytes: config.SizeRate{Size: 1000, Per: time.Hour}}}
	for _, limit := range []config.Policy{hourly(1), octets} {
		p := newPolicy(t, nil, limit)
		for range 3 {
			v, err := p.Message(&mail.Identity{Name: "a"}, 1000, nil)
			if err != nil {
				t.Fatal(err)
			}
			v.Undo()
		}
		if got := send(p, "a", 3, 1000); got != 1 {
			t.Errorf("%d passed, want 1", got)
		}
	}
}

func TestReloadKeepsCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counters := NewCounters()
		if got := send(newPolicy(t, counters, hourly(10)), "a", 20, 0); got != 10 {
			t.Fatalf("%d passed", got)
		}
		if got := send(newPolicy(t, counters, hourly(10)), "a", 20, 0); got != 0 {
			t.Errorf("a reload gave %d more", got)
		}
		if got := send(newPolicy(t, counters, hourly(15)), "a", 20, 0); got != 5 {
			t.Errorf("raising the limit by 5 gave %d", got)
		}
		if got := send(newPolicy(t, counters, hourly(5)), "a", 20, 0); got != 0 {
			t.Errorf("lowering the limit gave %d", got)
		}
		other := hourly(10)
		other.Name = "q"
		if got := send(newPolicy(t, counters, other), "a", 20, 0); got != 10 {
			t.Errorf("under another policy %d passed", got)
		}
	})
}

// TestLastMessageGoesToOne: many sessions reach for the same allowance.
func TestLastMessageGoesToOne(t *testing.T) {
	p := newPolicy(t, nil, config.Policy{Name: "p", Limits: config.PolicyLimits{Messages: config.Rate{Count: 100, Per: 1000 * time.Hour}}})
	var passed atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { passed.Add(int32(send(p, "a", 50, 1))) })
	}
	wg.Wait()
	if n := passed.Load(); n != 100 {
		t.Errorf("%d passed, want 100", n)
	}
}

func TestCountersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counters := NewCounters()
		p := newPolicy(t, counters, hourly(10))
		for i := range maxCounted {
			if send(p, fmt.Sprint(i), 1, 0) != 1 {
				t.Fatalf("identity %d is refused", i)
			}
		}
		_, err := p.Message(&mail.Identity{Name: "one more"}, 0, nil)
		says(t, "full", err, `450 4.7.1 policy "p": too many senders with limits, try again later`)
		if send(p, "0", 1, 0) != 1 {
			t.Error("one that is counted is refused")
		}
		time.Sleep(time.Hour)
		if send(p, "one more", 1, 0) != 1 {
			t.Error("still full when all have been quiet")
		}
		if n := len(counters.used); n > 10 {
			t.Errorf("%d are remembered", n)
		}
	})
}
