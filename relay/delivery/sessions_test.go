package delivery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
)

// TestClosedWhileItRested: a session the host has closed costs nothing but another
// connection, and no duplicate.
func TestClosedWhileItRested(t *testing.T) {
	afterFirst := func(a smtptest.Action) smtptest.Actor { return smtptest.InTurn(a) }
	for name, script := range map[string]on{
		"in_silence":   {smtptest.Content: afterFirst(smtptest.Action{Reply: "250 ok", Close: true})},
		"with_421":     {smtptest.Content: afterFirst(smtptest.Action{Reply: "250 ok\n421 idle too long", Close: true})},
		"said_at_mail": {smtptest.Mail: smtptest.InTurn(smtptest.Action{}, smtptest.Action{Reply: "421 4.7.0 enough", Close: true})},
		"seen_at_mail": {smtptest.Mail: smtptest.InTurn(smtptest.Action{}, smtptest.Action{Close: true})},
	} {
		for kind, keywords := range allKinds {
			if name == "seen_at_mail" && strings.Contains(kind, "pipelining and") {
				continue // see TestLostAfterEagerFlight
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				if name == "with_421" {
					script = on{smtptest.Content: smtptest.InTurn(smtptest.Action{Raw: "250 ok\r\n421 idle too long\r\n"})}
				}
				p := peer(t, script, keywords...)
				r := mx(hop("mx.example.net", p.Addr()))
				c := courier(t, r, Timeouts{})
				deliver := func() queue.Outcome {
					return c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
				}
				if o := deliver(); o.Results[0].Verdict != queue.Success && name != "with_421" {
					t.Fatalf("first: %+v", o)
				}
				if strings.HasPrefix(name, "in_") {
					p.AwaitEnded(t, 1)
				}
				if o := deliver(); o.Results[0].Verdict != queue.Success || o.Fault != queue.NoFault {
					t.Errorf("second: %+v", o)
				}
				if n := len(p.Sessions()); n != 2 {
					t.Errorf("%d sessions, want 2", n)
				}
				if name != "with_421" && len(p.Messages()) != 2 {
					t.Errorf("%d messages, want 2", len(p.Messages()))
				}
			})
		}
	}
}

// TestFailedTransactionIsReset: what a refused transaction left open does not get
// in the way of the next one on the same session.
func TestFailedTransactionIsReset(t *testing.T) {
	for kind, keywords := range allKinds {
		t.Run(kind, func(t *testing.T) {
			p := peer(t, on{smtptest.Rcpt: smtptest.InTurn(smtptest.Action{Reply: "550 5.1.1 nobody"})}, keywords...)
			r := mx(hop("mx.example.net", p.Addr()))
			c := courier(t, r, Timeouts{})
			for i, want := range []queue.Verdict{queue.Bounce, queue.Success, queue.Success} {
				o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
				if o.Results[0].Verdict != want {
					t.Errorf("message %d: %+v", i+1, o)
				}
			}
			if n := len(p.Sessions()); n != 1 {
				t.Errorf("%d sessions, want 1", n)
			}
		})
	}
}

// TestRefusedChunkEndsTheSession: content that left before the recipients were
// refused must not be followed by anything on that connection.
func TestRefusedChunkEndsTheSession(t *testing.T) {
	p := peer(t, on{smtptest.Rcpt: smtptest.InTurn(smtptest.Action{}, smtptest.Action{Reply: "550 5.1.1 nobody"})}, modern...)
	r := mx(hop("mx.example.net", p.Addr()))
	c := courier(t, r, Timeouts{})
	for i, want := range []queue.Verdict{queue.Success, queue.Bounce, queue.Success} {
		if o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net"))); o.Results[0].Verdict != want {
			t.Errorf("message %d: %+v", i+1, o)
		}
	}
	if s := p.AwaitEnded(t, 1); len(s) != 2 || !s[0].Quit {
		t.Errorf("sessions: %+v", s)
	}
}

// TestStoppedAtOnce: the end of the context ends every wait, and is nobody's
// fault.
func TestStoppedAtOnce(t *testing.T) {
	hang := smtptest.Do(smtptest.Action{Hang: true})
	for _, step := range []smtptest.Step{smtptest.Connect, smtptest.EHLO, smtptest.Mail, smtptest.Rcpt, smtptest.Content} {
		t.Run(string(step), func(t *testing.T) {
			p := peer(t, on{step: hang})
			r := mx(hop("mx.example.net", p.Addr()), hop("b.example.net", p.Addr()))
			c := courier(t, r, Timeouts{})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan queue.Outcome, 1)
			go func() { done <- c.Deliver(ctx, r.towards(message(hello, "1@example.net"))) }()
			p.AwaitStep(t, step, 1)
			cancel()
			select {
			case o := <-done:
				if v := o.Results[0].Verdict; v != queue.Again && v != queue.Defer || v == queue.Again && o.Fault != queue.NoFault {
					t.Errorf("outcome: %+v", o)
				}
				if doubt := o.InDoubt != ""; doubt != (step == smtptest.Content) {
					t.Errorf("in doubt: %q", o.InDoubt)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("still waiting")
			}
			if n := p.Steps(smtptest.Connect); n != 1 {
				t.Errorf("%d hosts were asked", n)
			}
		})
	}
}

// TestReroute: recipients that the table of now sends elsewhere are not touched.
func TestReroute(t *testing.T) {
	p := peer(t, nil)
	r := mx(hop("mx.example.net", p.Addr()))
	a := r.towards(message(hello, "1@example.net", "2@example.org", "3@example.net"))
	o := send(t, r, a)
	if want := []queue.Verdict{queue.Success, queue.Reroute, queue.Success}; !slices.Equal(verdicts(o), want) {
		t.Errorf("verdicts %v", verdicts(o))
	}
	if m := p.Await(t, 1)[0]; !slices.Equal(m.To, []string{"1@example.net", "3@example.net"}) {
		t.Errorf("sent to %v", m.To)
	}
	a.Delivery.Destination.Route = "gone"
	if o := courier(t, r, Timeouts{}).Deliver(t.Context(), a); o.Results[0].Verdict != queue.Reroute || p.Steps(smtptest.Connect) != 1 {
		t.Errorf("outcome: %+v", o)
	}
}

// TestRecipientsPerTransaction: ours and the host's limit; the rest goes on at
// once.
func TestRecipientsPerTransaction(t *testing.T) {
	to := []string{"1@example.net", "2@example.net", "3@example.net"}
	p := peer(t, nil, "LIMITS RCPTMAX=2")
	r := mx(hop("mx.example.net", p.Addr()))
	want := []queue.Verdict{queue.Success, queue.Success, queue.Again}
	if o := send(t, r, message(hello, to...)); !slices.Equal(verdicts(o), want) {
		t.Errorf("by the host's limit: %v", verdicts(o))
	}
	c := New(Options{Settings: onebyone(r)})
	t.Cleanup(c.Close)
	want = []queue.Verdict{queue.Success, queue.Again, queue.Again}
	if o := c.Deliver(t.Context(), r.towards(message(hello, to...))); !slices.Equal(verdicts(o), want) {
		t.Errorf("by our limit: %v", verdicts(o))
	}
}

// broken is content that can't be read beyond some octets.
type broken struct {
	memory
	good int64
}

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.good {
		return 0, errors.New("disk is on fire")
	}
	return b.memory.ReadAt(p, off)
}

// TestUnreadableContent ends the session before the host sees the end of the
// message.
func TestUnreadableContent(t *testing.T) {
	for kind, keywords := range allKinds {
		for name, good := range map[string]int64{"all": 0, "later": outSize} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				p := peer(t, nil, keywords...)
				a := message(strings.Repeat(hello, 10_000), "1@example.net")
				a.Content = broken{a.Content.(memory), good}
				o := send(t, mx(hop("mx.example.net", p.Addr())), a)
				if x := o.Results[0]; x.Verdict != queue.Defer || !strings.Contains(x.Reason, "disk is on fire") || o.InDoubt != "" {
					t.Errorf("outcome: %+v", o)
				}
				p.AwaitEnded(t, 1)
				if len(p.Messages()) > 0 {
					t.Error("a message arrived")
				}
			})
		}
	}
}

// TestBareNewlinesStayHere: nothing that could end a message early at some host
// leaves, whatever the content is.
func TestBareNewlinesStayHere(t *testing.T) {
	for name, end := range map[string]string{
		"LF.LF": "\n.\n", "LF.CRLF": "\n.\r\n", "CR.CR": "\r.\r", "CRLF.LF": "\r\n.\n", "CRLF.CR": "\r\n.\r", "CR at the end": "x\r",
	} {
		for kind, keywords := range allKinds {
			t.Run(name+"/"+kind, func(t *testing.T) {
				p := peer(t, nil, keywords...)
				content := hello + "x" + end + "MAIL FROM:<evil@example.net>\r\n"
				if strings.HasSuffix(name, "at the end") {
					content = hello + end
				}
				o := send(t, mx(hop("mx.example.net", p.Addr())), message(content, "1@example.net"))
				if x := o.Results[0]; x.Verdict != queue.Bounce || x.Reply.Enhanced.String() != "5.6.0" {
					t.Errorf("outcome: %+v", o)
				}
				for _, s := range p.AwaitEnded(t, 1) {
					if strings.Contains(string(s.Received), "evil") {
						t.Errorf("the host got %q", s.Received)
					}
				}
			})
		}
	}
}

// TestOneWrite: commands and content of a usual message leave in one write.
func TestOneWrite(t *testing.T) {
	p := peer(t, nil, modern...)
	r := mx(hop("mx.example.net", p.Addr()))
	var writes atomic.Int32
	c := New(Options{
		Settings: settings(r),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return counted{conn, &writes}, err
		},
	})
	t.Cleanup(c.Close)
	a := r.towards(message(hello+strings.Repeat("x\r\n", 3000), "1@example.net", "2@example.net"))
	c.Deliver(t.Context(), a)
	writes.Store(0)
	if o := c.Deliver(t.Context(), a); o.Results[0].Verdict != queue.Success {
		t.Fatalf("outcome: %+v", o)
	}
	if n := writes.Load(); n != 1 {
		t.Errorf("%d writes, want 1", n)
	}
}

type counted struct {
	net.Conn
	writes *atomic.Int32
}

func (c counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// TestManyRecipients: more commands than go in one flight, all answered in order.
func TestManyRecipients(t *testing.T) {
	for kind, keywords := range allKinds {
		t.Run(kind, func(t *testing.T) {
			p := peer(t, on{smtptest.Rcpt: func(c smtptest.Command) smtptest.Action {
				if c.Of%3 == 0 {
					return smtptest.Action{Reply: "550 5.1.1 nobody"}
				}
				return smtptest.Action{}
			}}, keywords...)
			r := mx(hop("mx.example.net", p.Addr()))
			all := settings(r)
			all.Delivery.RecipientsPerTransaction = 1000
			c := New(Options{Settings: all})
			t.Cleanup(c.Close)
			var to []string
			for i := range 3*window - 1 {
				to = append(to, fmt.Sprintf("r%d@example.net", i))
			}
			o := c.Deliver(t.Context(), r.towards(message(hello, to...)))
			for i, x := range o.Results {
				want := queue.Success
				if i%3 == 2 {
					want = queue.Bounce
				}
				if x.Verdict != want {
					t.Fatalf("recipient %d: %+v", i, x)
				}
			}
		})
	}
}

// TestNothingForNobody: a host that asks for content although it refused every
// recipient gets an empty one, and the session goes on.
func TestNothingForNobody(t *testing.T) {
	p := peer(t, on{
		smtptest.Rcpt: smtptest.InTurn(smtptest.Action{Reply: "550 5.1.1 nobody"}),
		smtptest.Data: say("354 go on"),
	}, "PIPELINING")
	r := mx(hop("mx.example.net", p.Addr()))
	c := courier(t, r, Timeouts{})
	for i, want := range []queue.Verdict{queue.Bounce, queue.Success} {
		if o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net"))); o.Results[0].Verdict != want {
			t.Errorf("message %d: %+v", i+1, o)
		}
	}
	s := p.Sessions()
	if len(s) != 1 || !strings.Contains(string(s[0].Received), "DATA\r\n.\r\nMAIL") {
		t.Errorf("sessions: %+v", s)
	}
}

// TestContentWaitsForProof: on a session that has not yet shown what BDAT does
// there, content leaves only when a recipient was accepted.
func TestContentWaitsForProof(t *testing.T) {
	p := peer(t, on{smtptest.Rcpt: say("550 5.1.1 nobody")}, modern...)
	r := mx(hop("mx.example.net", p.Addr()))
	c := courier(t, r, Timeouts{})
	for range 3 {
		c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
	}
	s := p.Sessions()
	if len(s) != 1 || strings.Contains(string(s[0].Received), "BDAT") {
		t.Errorf("sessions: %+v", s)
	}
}

// TestNoFurtherTransactionAfter421: "at once" ends with the session.
func TestNoFurtherTransactionAfter421(t *testing.T) {
	for kind, keywords := range allKinds {
		t.Run(kind, func(t *testing.T) {
			p := peer(t, on{smtptest.Rcpt: smtptest.InTurn(
				smtptest.Action{Reply: "250 ok"}, smtptest.Action{Reply: "452 4.5.3 too many"}, smtptest.Action{Reply: "421 4.3.2 closing", Close: true},
			)}, keywords...)
			o := send(t, mx(hop("mx.example.net", p.Addr())), message(hello, "1@example.net", "2@example.net", "3@example.net"))
			want := []queue.Verdict{queue.Defer, queue.Defer, queue.Defer}
			if !slices.Equal(verdicts(o), want) || o.Fault != queue.Throttled {
				t.Errorf("outcome: %+v", o)
			}
		})
	}
}

// TestNothingElseAfter421 also for those who were left for a
// further transaction before this one began.
func TestNothingElseAfter421(t *testing.T) {
	p := peer(t, on{smtptest.Rcpt: say("421 4.3.2 closing")})
	r := mx(hop("mx.example.net", p.Addr()))
	c := New(Options{Settings: onebyone(r)})
	t.Cleanup(c.Close)
	o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net", "2@example.net")))
	for _, x := range o.Results {
		if x.Verdict != queue.Defer || x.Reply.Code != 421 || x.Host != "mx.example.net" {
			t.Errorf("result: %+v", x)
		}
	}
}

// TestNoWaitAfterTheEnd: a deadline set after the end of the context would undo
// the one that the end has set.
func TestNoWaitAfterTheEnd(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	ctx, cancel := context.WithCancel(t.Context())
	w := wire{conn: near, limit: time.Hour}
	release := w.bind(ctx)
	defer release()
	cancel()
	if _, err := w.reply(time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("reply: %v", err)
	}
	if _, err := w.command("NOOP", time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("command: %v", err)
	}
}
