package delivery

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/routing"
)

// TestLostAfterEagerFlight: if the connection goes down after a flight that held
// the content, nobody knows.
func TestLostAfterEagerFlight(t *testing.T) {
	p := peer(t, on{smtptest.Mail: smtptest.InTurn(smtptest.Action{}, smtptest.Action{Close: true})}, modern...)
	r := mx(hop("mx.example.net", p.Addr()))
	c := courier(t, r, Timeouts{})
	c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
	o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
	if o.Results[0].Verdict != queue.Defer || o.InDoubt != "mx.example.net" {
		t.Errorf("outcome: %+v", o)
	}
}

type meter struct {
	noMeter
	doubts atomic.Int32
}

func (m *meter) InDoubt() { m.doubts.Add(1) }

// TestInDoubt: a host that took the whole message and said nothing is named, and
// asked first the next time.
func TestInDoubt(t *testing.T) {
	for kind, keywords := range allKinds {
		t.Run(kind, func(t *testing.T) {
			other := peer(t, nil, keywords...)
			doubtful := peer(t, on{smtptest.Content: smtptest.InTurn(smtptest.Action{Close: true})}, keywords...)
			r := mx(hop("b.example.net", doubtful.Addr()))
			var m meter
			c := New(Options{Settings: settings(r), Meter: &m})
			t.Cleanup(c.Close)
			a := r.towards(message(hello, "1@example.net", "2@example.net"))
			o := c.Deliver(t.Context(), a)
			if o.InDoubt != "b.example.net" || m.doubts.Load() != 1 || o.Fault != queue.NoFault {
				t.Fatalf("outcome: %+v", o)
			}
			for _, x := range o.Results {
				if x.Verdict != queue.Defer || !strings.Contains(x.Reason, "no answer after the end of the message") {
					t.Errorf("result: %+v", x)
				}
			}
			r.hops = append([]routing.NextHop{hop("a.example.net", other.Addr())}, r.hops...)
			a.Delivery.InDoubt = o.InDoubt
			o = c.Deliver(t.Context(), a)
			if o.Results[0].Verdict != queue.Success || o.Event.Host != "b.example.net" || o.InDoubt != "" {
				t.Errorf("next outcome: %+v", o)
			}
		})
	}
}

// TestInDoubtIsKept until nobody waits any more: neither a host that can't be asked nor
// one that puts the message off has said what became of it.
func TestInDoubtIsKept(t *testing.T) {
	const host = "b.example.net"
	for why, row := range map[string]struct {
		script on
		kept   bool
	}{
		"can't be asked":              {on{smtptest.Connect: shut}, true},
		"puts the sender off":         {on{smtptest.Mail: say("421 4.3.2 closing")}, true},
		"puts the recipient off":      {on{smtptest.Rcpt: say("451 4.2.0 later")}, true},
		"puts the message off":        {on{smtptest.Content: say("451 4.3.0 later")}, true},
		"puts one of them off":        {on{smtptest.Rcpt: smtptest.ByPath(map[string]string{"2@example.net": "451 4.2.0 later"})}, true},
		"takes one of them at a time": {on{smtptest.Rcpt: smtptest.ByPath(map[string]string{"2@example.net": "452 4.5.3 too many"})}, true},
		"refuses the message":         {on{smtptest.Content: say("554 5.6.0 no")}, false},
		"has it":                      {nil, false},
	} {
		t.Run(why, func(t *testing.T) {
			p := peer(t, row.script)
			a := message(hello, "1@example.net", "2@example.net")
			a.Delivery.InDoubt = host
			if o := send(t, mx(hop(host, p.Addr())), a); o.InDoubt != "" != row.kept {
				t.Errorf("in doubt at %q: %+v", o.InDoubt, o)
			}
		})
	}
	t.Run("is not asked in time", func(t *testing.T) {
		p := peer(t, on{smtptest.Connect: smtptest.Do(smtptest.Action{Hang: true})})
		r := mx(hop(host, p.Addr()))
		a := r.towards(message(hello, "1@example.net"))
		a.Delivery.InDoubt = host
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			p.AwaitStep(t, smtptest.Connect, 1)
			cancel()
		}()
		if o := courier(t, r, Timeouts{}).Deliver(ctx, a); o.InDoubt != host {
			t.Errorf("in doubt at %q: %+v", o.InDoubt, o)
		}
	})
}

// TestDoubtIsForTheAccepted: who was refused or put off before the silence keeps
// that answer.
func TestDoubtIsForTheAccepted(t *testing.T) {
	for kind, keywords := range allKinds {
		t.Run(kind, func(t *testing.T) {
			p := peer(t, on{
				smtptest.Rcpt:    smtptest.InTurn(smtptest.Action{Reply: "550 5.1.1 nobody"}, smtptest.Action{Reply: "450 4.2.0 later"}),
				smtptest.Content: shut,
			}, keywords...)
			o := send(t, mx(hop("mx.example.net", p.Addr())), message(hello, "1@example.net", "2@example.net", "3@example.net"))
			if o.Results[0].Reply.Code != 550 || o.Results[1].Reply.Code != 450 || o.Results[2].Reply.Code != 0 || o.InDoubt == "" {
				t.Errorf("outcome: %+v", o)
			}
		})
	}
}
