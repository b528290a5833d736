package queue

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

var notOwned = mail.Reply{Code: 553, Enhanced: mail.EnhancedCode{5, 7, 1}, Text: "sender not owned by user"}

// refuses is a smarthost that takes no mail from senders at bad.example, and
// counts how often it had to say so.
func refuses(asked *atomic.Int64, mended *atomic.Bool) deliverFunc {
	return func(_ context.Context, a *Attempt) Outcome {
		if a.Envelope.From.Address.Domain.String() != "bad.example" || mended.Load() {
			return all(a, taken)
		}
		asked.Add(1)
		out := all(a, Result{Verdict: Defer, Reply: notOwned, Host: "smtp.provider.example"})
		out.Fault, out.FaultReply = SenderRefused, notOwned
		return out
	}
}

func oneSmarthost(o *Options) {
	o.Router, o.Retry.WarnAfter = mxRouter{map[string]string{"y.example": "smart"}}, 0
}

// One application's wrong sender stops its own mail and nobody else's: that waits,
// longer than any mail may live, at the cost of one MAIL an interval.
func TestRefusedSenderStopsNobodyElse(t *testing.T) {
	var asked atomic.Int64
	var mended atomic.Bool
	inBubble(t, refuses(&asked, &mended), func(r *rig) {
		for range 10 {
			r.send("app@bad.example", "b@y.example")
			r.send("app@good.example", "b@y.example")
		}
		time.Sleep(time.Second)
		if n := r.store.count(); n != 10 {
			t.Fatalf("%d messages left, want the 10 of the refused sender", n)
		}
		for range 100 {
			r.send("app@good.example", "b@y.example")
			time.Sleep(time.Minute)
			if n := r.store.count(); n != 10 {
				t.Fatalf("mail of another sender waits: %d left", n)
			}
		}
		if n := asked.Load(); n > 20 {
			t.Errorf("the smarthost was asked %d times in two hours", n)
		}
		s := r.Destinations()
		if len(s) != 1 || s[0].Status != Up || len(s[0].Refused) != 1 || s[0].Refused[0].Sender != "app@bad.example" {
			t.Errorf("status: %+v", s)
		}
		if n := strings.Count(r.logs.String(), "sender refused by the smarthost"); n != 1 {
			t.Errorf("the alarm was raised %d times\n%s", n, r.logs)
		}
		time.Sleep(6 * 24 * time.Hour)
		if n := r.store.count(); n != 10 || len(r.log.of(mail.EventBounced))+len(r.log.of(mail.EventExpired)) > 0 {
			t.Fatalf("%d of 10 left: a refused sender has cost mail", n)
		}
		mended.Store(true)
		if _, err := r.Retry(context.Background(), Selector{Route: "smart"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := r.store.count(); n != 0 {
			t.Errorf("%d left after the sender was allowed", n)
		}
		if s := r.Destinations(); len(s) > 0 && len(s[0].Refused) > 0 {
			t.Errorf("still refused: %+v", s)
		}
	}, oneSmarthost)
}

// What waits for a refused sender costs one attempt and one write an interval,
// however much it is and however often the relay is started; when the sender is
// taken again all of it flows, without anybody doing anything.
func TestBacklogOfARefusedSender(t *testing.T) {
	var asked atomic.Int64
	var mended atomic.Bool
	inBubble(t, refuses(&asked, &mended), func(r *rig) {
		var written atomic.Int64
		r.store.refuse = func(c *Change) error {
			written.Add(int64(len(c.Put)))
			return nil
		}
		r.send("app@good.example", "b@y.example")
		const backlog = 500
		for range backlog {
			r.send("app@bad.example", "b@y.example")
		}
		time.Sleep(time.Hour)
		written.Store(0)
		const hours = 24
		asked.Store(0)
		time.Sleep(hours * time.Hour)
		if n := asked.Load(); n < hours || n > 5*hours {
			t.Errorf("the smarthost was asked %d times in %d hours", n, hours)
		}
		if n := written.Load(); n > asked.Load()+1 {
			t.Errorf("%d deliveries were written for %d attempts", n, asked.Load())
		}
		list, _, err := r.List(context.Background(), Selector{States: []State{Deferred}}, DeliveryKey{}, 10)
		if err != nil || len(list) != 10 || !list[9].Due.After(time.Now()) {
			t.Errorf("listed: %+v (%v)", list, err)
		}
		asked.Store(0)
		r.end()
		r.start()
		time.Sleep(time.Minute / 2)
		if n := asked.Load(); n > 5 {
			t.Errorf("the smarthost was asked %d times after a restart", n)
		}
		mended.Store(true)
		time.Sleep(longestRefusal)
		if n := r.store.count(); n != 0 {
			t.Errorf("%d left a quarter of an hour after the sender was allowed", n)
		}
	}, oneSmarthost)
}

// Mail of a refused sender that a new route table sends elsewhere goes there.
func TestRefusedSenderIsRoutedAnew(t *testing.T) {
	var asked atomic.Int64
	var mended atomic.Bool
	inBubble(t, func(ctx context.Context, a *Attempt) Outcome {
		if a.Delivery.Destination.Route == "mx" {
			return all(a, taken)
		}
		return refuses(&asked, &mended)(ctx, a)
	}, func(r *rig) {
		r.send("app@good.example", "b@y.example")
		for range 10 {
			r.send("app@bad.example", "b@y.example")
		}
		time.Sleep(time.Minute)
		r.Reload(Reloadable{Router: mxRouter{}})
		time.Sleep(time.Minute)
		if n := r.store.count(); n != 0 {
			t.Errorf("%d are left on the old route", n)
		}
	}, oneSmarthost)
}

// A reverse-path for each message, all of them refused, is more than is
// remembered; it costs no more than mail that is put off does.
func TestMoreRefusedSendersThanAreRemembered(t *testing.T) {
	var asked atomic.Int64
	var mended atomic.Bool
	inBubble(t, refuses(&asked, &mended), func(r *rig) {
		r.send("app@good.example", "b@y.example")
		time.Sleep(time.Second) // the smarthost is known to take mail
		const senders = 3 * maxRefused
		for i := range senders {
			r.send(fmt.Sprintf("bounce-%d@bad.example", i), "b@y.example")
		}
		time.Sleep(time.Minute / 2)
		if n := asked.Load(); n != senders {
			t.Errorf("the smarthost was asked %d times about %d senders", n, senders)
		}
		time.Sleep(time.Hour)
		if n := asked.Load(); n > 8*senders {
			t.Errorf("the smarthost was asked %d times in an hour", n)
		}
		mended.Store(true)
		time.Sleep(2 * time.Hour)
		if n := r.store.count(); n != 0 {
			t.Errorf("%d are left", n)
		}
	}, oneSmarthost)
}

// Where nobody is known whose mail is taken, the route is at fault: it is
// suspended, and its next probe is somebody else's mail.
func TestEverySenderRefusedSuspendsTheRoute(t *testing.T) {
	var asked atomic.Int64
	var mended atomic.Bool
	inBubble(t, refuses(&asked, &mended), func(r *rig) {
		for range 10 {
			r.send("app@bad.example", "b@y.example")
		}
		time.Sleep(time.Second)
		if s := r.Destinations(); len(s) != 1 || s[0].Status != Suspended {
			t.Errorf("status: %+v", s)
		}
		time.Sleep(3 * time.Hour)
		r.send("app@good.example", "b@y.example")
		time.Sleep(time.Second)
		if n := r.store.count(); n != 10 {
			t.Errorf("%d left: the probe was not another sender's", n)
		}
		if s := r.Destinations(); len(s) != 1 || s[0].Status != Up {
			t.Errorf("status after another sender's mail was taken: %+v", s)
		}
	}, oneSmarthost)
}

var overQuota = mail.Reply{Code: 452, Enhanced: mail.EnhancedCode{4, 7, 1}, Text: "sending quota exceeded"}

// metered is a smarthost with a quota: over says whose mail it takes no more of.
func metered(over func(sender string) bool) deliverFunc {
	return func(_ context.Context, a *Attempt) Outcome {
		if !over(a.Envelope.From.Address.Domain.String()) {
			return all(a, taken)
		}
		out := all(a, Result{Verdict: Defer, Reply: overQuota, Host: "smtp.provider.example"})
		out.Fault, out.FaultReply = SenderRefused, overQuota
		return out
	}
}

// One sender over its quota waits alone, without expiring.
func TestQuotaOfOneSender(t *testing.T) {
	inBubble(t, metered(func(sender string) bool { return sender == "newsletter.example" }), func(r *rig) {
		r.send("app@good.example", "b@y.example")
		for range 20 {
			r.send("app@newsletter.example", "b@y.example")
		}
		for i := range 6 * 24 {
			for _, sender := range []string{"app@good.example", "app@other.example"} {
				r.send(sender, "b@y.example")
			}
			time.Sleep(time.Second)
			if n := r.store.count(); n != 20 {
				t.Fatalf("after %d hours %d are left, want the 20 of the sender over its quota", i, n)
			}
			if s := r.Destinations(); len(s) != 1 || s[0].Status != Up || len(s[0].Refused) != 1 {
				t.Fatalf("status: %+v", s)
			}
			time.Sleep(time.Hour)
		}
	}, oneSmarthost)
}

// A quota that all share suspends the route after a few senders, though many have
// been taken before; when it is over, the mail of all flows.
func TestQuotaOfAll(t *testing.T) {
	var used, asked atomic.Int64
	inBubble(t, metered(func(string) bool {
		if used.Load() == 0 {
			return false
		}
		asked.Add(1)
		return true
	}), func(r *rig) {
		write := func(senders int) {
			for i := range senders {
				r.send(fmt.Sprintf("app@s%d.example", i), "b@y.example")
			}
			time.Sleep(time.Second)
		}
		write(15)
		used.Store(1)
		write(5)
		if s := r.Destinations(); len(s) != 1 || s[0].Status != Suspended || r.store.count() != 5 {
			t.Errorf("%d left, status: %+v", r.store.count(), s)
		}
		time.Sleep(12 * time.Hour)
		if n := asked.Load(); n > 150 {
			t.Errorf("the smarthost was asked %d times in twelve hours", n)
		}
		used.Store(0)
		time.Sleep(4*time.Hour + 30*time.Minute)
		if n := r.store.count(); n != 0 || len(r.log.of(mail.EventBounced)) > 0 {
			t.Errorf("%d left after the quota was over", n)
		}
	}, oneSmarthost)
}

// A delivery that has to wait for its route's pace goes back as it was: no
// attempt is counted, nothing is stored, and others have its worker meanwhile.
func TestWaitForThePaceHoldsNoWorker(t *testing.T) {
	var next time.Time
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if a.Delivery.Destination.Route != "smart" {
			return all(a, taken)
		}
		if wait := time.Until(next); wait > 0 {
			return Outcome{Wait: wait}
		}
		next = time.Now().Add(20 * time.Second)
		return all(a, taken)
	}, func(r *rig) {
		for range 10 {
			r.send("a@x.example", "b@y.example")
		}
		time.Sleep(time.Second)
		r.send("a@x.example", "b@z.example")
		time.Sleep(time.Second)
		if n := r.store.count(); n != 9 {
			t.Errorf("%d left: the paced route is in the way of another", n)
		}
		time.Sleep(100 * time.Second)
		if n := r.store.count(); n != 4 {
			t.Errorf("%d left after 102 seconds, one leaves in twenty", n)
		}
		time.Sleep(100 * time.Second)
		if n := r.store.count(); n != 0 || len(r.log.of(mail.EventDeferred)) > 0 {
			t.Errorf("%d left, %d deferred", n, len(r.log.of(mail.EventDeferred)))
		}
		for _, e := range r.log.of(mail.EventDelivered) {
			if e.Attempt != 1 {
				t.Errorf("delivered at attempt %d", e.Attempt)
			}
		}
	}, oneSmarthost, func(o *Options) { o.Workers = 1 })
}

// A pace slower than anything else can wait for is waited for all the same, and not
// by asking all the time.
func TestVerySlowPace(t *testing.T) {
	var asked atomic.Int64
	begin := time.Time{}
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		asked.Add(1)
		if wait := 12*time.Hour - time.Since(begin); wait > 0 {
			return Outcome{Wait: wait}
		}
		return all(a, taken)
	}, func(r *rig) {
		begin = time.Now()
		r.send("a@x.example", "b@y.example")
		time.Sleep(13 * time.Hour)
		if n := asked.Load(); n > 20 || r.store.count() > 0 {
			t.Errorf("asked %d times, %d left", n, r.store.count())
		}
	}, oneSmarthost, func(o *Options) { o.Retry.Intervals = []time.Duration{time.Hour} })
}

// What is remembered about senders is bounded.
func TestSendersAreBounded(t *testing.T) {
	var s senders
	now := time.Now()
	for i := range 3 * maxRefused {
		s.take(fmt.Sprint("<good", i, "@x.example>"))
		s.refuse(fmt.Sprint("<bad", i, "@x.example>"), trouble{reply: notOwned}, now, &retryPlan{plan})
	}
	if len(s.taken) > maxTaken || len(s.refused) > maxRefused {
		t.Errorf("%d taken, %d refused", len(s.taken), len(s.refused))
	}
}
