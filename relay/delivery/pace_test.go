package delivery

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
)

// TestPaceOfEachDestination: each domain gets no more messages than the rate for
// each allows, and no domain waits because another has had its share.
func TestPaceOfEachDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := smtptest.New(smtptest.Script{})
		r := mx(nobody("mx.example.net"))
		r.route.DestinationMessages = config.Rate{Count: 30, Per: time.Minute}
		c := faraway(t, p, r, 0)
		start := time.Now()
		var sent []time.Duration
		for i := 0; len(sent) < 90; i++ {
			if o := c.Deliver(t.Context(), r.towards(message(hello, "1@busy.example"))); o.Wait > 0 { // as the queue does
				began := time.Now()
				if o := c.Deliver(t.Context(), r.towards(message(hello, fmt.Sprintf("1@d%d.example", i)))); o.Wait > 0 || time.Since(began) > 0 {
					t.Fatalf("another domain waits %v and %v", time.Since(began), o.Wait)
				}
				time.Sleep(o.Wait)
				continue
			}
			sent = append(sent, time.Since(start))
		}
		for i := range sent {
			if i >= 30 && sent[i]-sent[i-30] < time.Minute-time.Millisecond {
				t.Errorf("message %d came %v after the thirtieth before it", i, sent[i]-sent[i-30])
			}
		}
		if last := sent[len(sent)-1]; last > 200*time.Second {
			t.Errorf("ninety messages took %v", last)
		}
	})
}

func paced(domain string) queue.Destination {
	return queue.Destination{Route: "bulk", Domain: mail.MustParseAddress("a@" + domain).Domain}
}

// TestTwoRates: who must wait for one of them uses up nothing of the other.
func TestTwoRates(t *testing.T) {
	hourly := func(n int) config.Rate { return config.Rate{Count: n, Per: time.Hour} }
	now := time.Now()
	ask := func(p *paces, domain string, route, each config.Rate) time.Duration {
		now = now.Add(time.Microsecond)
		return p.reserve(paced(domain), route, each, now)
	}
	t.Run("a destination that waits leaves the route to others", func(t *testing.T) {
		var p paces
		if ask(&p, "a.example", hourly(100), hourly(1)) != 0 {
			t.Fatal("the first waits")
		}
		for range 50 {
			if wait := ask(&p, "a.example", hourly(100), hourly(1)); wait < 50*time.Minute {
				t.Fatalf("the second waits %v", wait)
			}
		}
		for i := range 9 { // of ten at once
			if wait := ask(&p, fmt.Sprintf("b%d.example", i), hourly(100), hourly(1)); wait != 0 {
				t.Errorf("another domain waits %v", wait)
			}
		}
	})
	t.Run("a route that waits leaves the destination its share", func(t *testing.T) {
		var p paces
		ask(&p, "a.example", hourly(60), hourly(1))
		for i := range 5 {
			ask(&p, fmt.Sprintf("b%d.example", i), hourly(60), hourly(1))
		}
		for range 50 {
			if wait := ask(&p, "c.example", hourly(60), hourly(1)); wait == 0 || wait > 5*time.Minute {
				t.Fatalf("a domain of which nothing was sent waits %v", wait)
			}
		}
		now = now.Add(10 * time.Minute)
		if wait := ask(&p, "c.example", hourly(60), hourly(1)); wait != 0 {
			t.Errorf("its first message waits %v", wait)
		}
	})
	t.Run("of a smarthost route the smaller one holds", func(t *testing.T) {
		for _, rates := range [][2]config.Rate{{hourly(1), hourly(1000)}, {hourly(1000), hourly(1)}} {
			var p paces
			d := queue.Destination{Route: "provider"}
			waits := []time.Duration{p.reserve(d, rates[0], rates[1], now), p.reserve(d, rates[0], rates[1], now)}
			if waits[0] != 0 || waits[1] != time.Hour {
				t.Errorf("%v: they wait %v", rates, waits)
			}
		}
	})
	t.Run("a changed rate holds at once, and what was used up stays so", func(t *testing.T) {
		var p paces
		now = time.Now() // which a change reckons with
		ask(&p, "a.example", config.Rate{}, hourly(1))
		if wait := ask(&p, "a.example", config.Rate{}, hourly(60)); wait == 0 || wait > 2*time.Minute {
			t.Errorf("the next one waits %v", wait)
		}
		if wait := ask(&p, "a.example", config.Rate{}, config.Rate{}); wait != 0 {
			t.Errorf("without a rate it waits %v", wait)
		}
	})
}

// TestPacedDestinationsAreBounded: those that may send anyway are forgotten first.
func TestPacedDestinationsAreBounded(t *testing.T) {
	var p paces
	now := time.Now()
	slow, quick := config.Rate{Count: 1, Per: 24 * time.Hour}, config.Rate{Count: 1, Per: time.Minute}
	most := 0
	send := func(domain string, r config.Rate) time.Duration {
		now = now.Add(time.Second)
		wait := p.reserve(paced(domain), config.Rate{}, r, now)
		most = max(most, len(p.byDestination))
		return wait
	}
	send("slow.example", slow)
	for i := range maxPaced + 10 {
		if wait := send(fmt.Sprintf("d%d.example", i), quick); wait != 0 {
			t.Fatalf("the first message of a domain waits %v", wait)
		}
	}
	if wait := send("slow.example", slow); wait < 12*time.Hour {
		t.Errorf("of a slow rate only %v are left", wait)
	}
	if p.byDestination[paced("d0.example")] != nil {
		t.Error("nothing was forgotten")
	}
	for i := range maxPaced { // a second each: more than half of them can't have refilled
		send(fmt.Sprintf("e%d.example", i), slow)
	}
	if most > maxPaced {
		t.Errorf("%d are kept", most)
	}
}
