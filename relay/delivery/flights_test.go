package delivery

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/routing"
)

// faraway returns a courier whose one host is rtt away, in the time of a bubble.
func faraway(t *testing.T, p *smtptest.Peer, r *table, rtt time.Duration) *Courier {
	t.Helper()
	c := New(Options{
		Settings: settings(r),
		Dial: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go p.Serve(far)
			return smtptest.Distant(near, rtt), nil
		},
	})
	t.Cleanup(func() {
		c.Close()
		p.Close()
	})
	return c
}

// TestRoundTrips counts them: over 50 ms a message on a warm session takes two
// round trips with PIPELINING, and one with CHUNKING beside it.
func TestRoundTrips(t *testing.T) {
	const rtt = 50 * time.Millisecond
	for _, row := range []struct {
		why        string
		keywords   []string
		size       int
		recipients int
		want       int // round trips
		cold       int // of the first message, after greeting (1, with the connect) and EHLO (1)
	}{
		{"everything in its turn: MAIL, two RCPT, DATA, content", nil, 100, 2, 5, 7},
		{"MAIL to DATA in one flight", []string{"PIPELINING"}, 100, 2, 2, 4},
		{"many recipients", []string{"PIPELINING"}, 10_000, 50, 2, 4},
		{"content in the same flight", []string{"PIPELINING", "CHUNKING"}, 10_000, 2, 1, 4},
		{"larger content in the same flight", []string{"PIPELINING", "CHUNKING"}, 500_000, 2, 1, 4},
		{"not so large that it would be sent for nothing", []string{"PIPELINING", "CHUNKING"}, 2 << 20, 2, 2, 4},
	} {
		t.Run(row.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := smtptest.New(smtptest.Script{Keywords: row.keywords})
				r := mx(nobody("mx.example.net"))
				c := faraway(t, p, r, rtt)
				to := []string{"1@example.net"}
				for len(to) < row.recipients {
					to = append(to, "x"+to[len(to)-1])
				}
				content := hello + strings.Repeat(strings.Repeat("x", 98)+"\r\n", row.size/100)
				for i, want := range []int{row.cold, row.want, row.want} {
					start := time.Now()
					o := c.Deliver(t.Context(), r.towards(message(content, to...)))
					took := time.Since(start)
					if o.Results[0].Verdict != queue.Success {
						t.Fatalf("outcome: %+v", o)
					}
					// The connect costs nothing here, the greeting half a round trip.
					if trips := int((took + rtt/2) / rtt); trips != want {
						t.Errorf("message %d took %v: %d round trips, want %d", i+1, took, trips, want)
					}
				}
			})
		})
	}
}

// TestRestedSession: after a longer rest content waits for the answer to MAIL,
// because the host may be closing the session just then.
func TestRestedSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rtt = 50 * time.Millisecond
		p := smtptest.New(smtptest.Script{Keywords: []string{"PIPELINING", "CHUNKING"}})
		r := mx(nobody("mx.example.net"))
		c := faraway(t, p, r, rtt)
		deliver := func() time.Duration {
			start := time.Now()
			if o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net"))); o.Results[0].Verdict != queue.Success {
				t.Fatalf("outcome: %+v", o)
			}
			return time.Since(start)
		}
		deliver()
		if took := deliver(); took != rtt {
			t.Errorf("warm: %v", took)
		}
		time.Sleep(30 * time.Second)
		if took := deliver(); took != 2*rtt {
			t.Errorf("rested: %v", took)
		}
		if n := len(p.Sessions()); n != 1 {
			t.Errorf("%d sessions", n)
		}
	})
}

// TestSessionEnds: a session at rest is ended with QUIT when it has rested too
// long, when it is too old, and at Close.
func TestSessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := smtptest.New(smtptest.Script{})
		r := mx(nobody("mx.example.net"))
		c := faraway(t, p, r, time.Millisecond)
		deliver := func() {
			if o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net"))); o.Results[0].Verdict != queue.Success {
				t.Fatalf("outcome: %+v", o)
			}
		}
		deliver()
		time.Sleep(2 * time.Minute)
		if s := p.Sessions(); len(s) != 1 || !s[0].Quit || !s[0].Ended {
			t.Errorf("after two minutes of rest: %+v", s)
		}
		for range 20 { // busy all the time, so that only age ends it
			deliver()
			time.Sleep(30 * time.Second)
		}
		if n := len(p.Sessions()); n != 3 {
			t.Errorf("%d sessions after ten more minutes, want 3", n)
		}
		deliver()
		c.Close()
		for i, s := range p.Sessions() {
			if !s.Quit {
				t.Errorf("session %d ended without QUIT", i+1)
			}
		}
	})
}

// TestSessionsAreNotKeptForEver: neither one that rests as long as it may, nor one that
// has served very often, nor very many.
func TestSessionsAreNotKeptForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := smtptest.New(smtptest.Script{Forget: true})
		r := mx(nobody("mx.example.net"))
		c := faraway(t, p, r, 0)
		patient := settings(r)
		patient.Delivery.IdleTimeout = time.Hour
		c.Reload(patient)
		deliver := func() {
			if o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net"))); o.Results[0].Verdict != queue.Success {
				t.Fatalf("outcome: %+v", o)
			}
		}
		sessions := func(why string, want int) {
			if n := p.Steps(smtptest.Connect); n != want {
				t.Errorf("%s: %d sessions, want %d", why, n, want)
			}
		}
		deliver()
		time.Sleep(maxSessionAge)
		deliver()
		sessions("the first is five minutes old", 2)
		for range maxTransactions - 1 {
			deliver()
		}
		sessions("the second has taken a thousand messages", 2)
		deliver()
		sessions("the second may take no more", 3)
		for i := range maxIdle + 10 {
			r.hops = []routing.NextHop{nobody(fmt.Sprintf("mx%d.example.net", i))}
			deliver()
		}
		if n := c.cache.count; n != maxIdle {
			t.Errorf("%d sessions are at rest", n)
		}
	})
}

// TestSilentHosts: hosts that take connections and say nothing hold an attempt for
// three of them, and not for each of their addresses.
func TestSilentHosts(t *testing.T) {
	hang := smtptest.Do(smtptest.Action{Hang: true})
	for step, fault := range map[smtptest.Step]queue.Fault{
		smtptest.Connect: queue.Unreachable, smtptest.EHLO: queue.Unreachable, smtptest.Mail: queue.Throttled,
	} {
		t.Run(string(step), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := smtptest.New(smtptest.Script{On: on{step: hang}})
				r := mx()
				for i := range 5 {
					h := nobody(fmt.Sprintf("mx%d.example.net", i))
					for j := range 8 {
						h.Addresses = append(h.Addresses, netip.AddrFrom4([4]byte{127, 0, byte(i), byte(j + 2)}))
					}
					r.hops = append(r.hops, h)
				}
				c := faraway(t, p, r, 0)
				start := time.Now()
				o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
				if x := o.Results[0]; x.Verdict != queue.Defer || !strings.Contains(x.Reason, "timeout") || o.Fault != fault {
					t.Errorf("outcome: %+v", o)
				}
				if n := len(p.Sessions()); n != 3 {
					t.Errorf("%d sessions, want 3", n)
				}
				if took := time.Since(start); took > 16*time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestDrainingHosts: a host that stays just within each limit doesn't hold a worker for
// days.
func TestDrainingHosts(t *testing.T) {
	for kind, keywords := range map[string]string{"DATA": "", "BDAT": "250-CHUNKING\r\n"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := mx(nobody("mx.example.net"))
				var host sync.WaitGroup
				defer host.Wait()
				c := New(Options{Settings: settings(r), Dial: func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					host.Go(func() { drain(far, keywords) })
					return near, nil
				}})
				defer c.Close()
				content := hello + strings.Repeat(strings.Repeat("x", 62)+"\r\n", 64<<10) // 4 MiB
				start := time.Now()
				o := c.Deliver(t.Context(), r.towards(message(content, "1@example.net")))
				if x := o.Results[0]; x.Verdict != queue.Defer || !strings.Contains(x.Reason, "timeout") || o.InDoubt != "" {
					t.Errorf("outcome: %+v", o)
				}
				if took := time.Since(start); took < 64*time.Minute || took > 70*time.Minute { // an hour, and 256 s for 4 MiB
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// drain answers on conn as a host does, and reads content as slowly as it may.
func drain(conn net.Conn, keywords string) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, outSize)
	io.WriteString(conn, "220 drain.test\r\n")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.TrimSpace(line), " "); verb {
		case "EHLO":
			io.WriteString(conn, "250-drain.test\r\n"+keywords+"250 8BITMIME\r\n")
			continue
		case "DATA":
			io.WriteString(conn, "354 go on\r\n")
		case "BDAT":
		default:
			io.WriteString(conn, "250 ok\r\n")
			continue
		}
		for b := make([]byte, outSize); err == nil; _, err = io.ReadFull(in, b) {
			time.Sleep(3*time.Minute - time.Second)
		}
		return
	}
}

// TestRestIsBounded also between two rounds of the sweep.
func TestRestIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := smtptest.New(smtptest.Script{})
		r := mx(nobody("mx.example.net"))
		c := faraway(t, p, r, 0)
		deliver := func() { c.Deliver(t.Context(), r.towards(message(hello, "1@example.net"))) }
		deliver()
		time.Sleep(50 * time.Second)
		deliver() // rests again from now on; the sweep runs at 60 s, 75 s, ... 120 s
		time.Sleep(61 * time.Second)
		deliver()
		if n := len(p.Sessions()); n != 2 {
			t.Errorf("%d sessions, want 2", n)
		}
	})
}

// TestPaceOfManyDestinations: of all that wait on a route, each message that may
// leave wakes one.
func TestPaceOfManyDestinations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := smtptest.New(smtptest.Script{})
		r := mx(nobody("mx.example.net"))
		r.route.Messages = config.Rate{Count: 30, Per: time.Minute}
		c := faraway(t, p, r, 0)
		const destinations, messages = 60, 3 // for each
		start := time.Now()
		var asked atomic.Int64
		var done sync.WaitGroup
		for i := range destinations {
			done.Go(func() {
				for sent := 0; sent < messages; {
					asked.Add(1)
					if o := c.Deliver(t.Context(), r.towards(message(hello, fmt.Sprintf("1@d%d.example.net", i)))); o.Wait > 0 {
						time.Sleep(o.Wait + time.Millisecond) // as the queue does
						continue
					}
					sent++
				}
			})
		}
		done.Wait()
		if n := asked.Load(); n > 2*destinations*messages+10 {
			t.Errorf("%d attempts for %d messages", n, destinations*messages)
		}
		if took := time.Since(start); took > destinations*messages*time.Minute/28+10*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// TestTurnsAreBounded in number and in time.
func TestTurnsAreBounded(t *testing.T) {
	p := (&paces{}).pace("mx", config.Rate{Count: 30, Per: time.Minute})
	now := time.Now()
	for i := range 3 * maxTurns {
		d := queue.Destination{Route: "mx", Domain: mail.MustParseAddress(fmt.Sprintf("a@d%d.example", i)).Domain}
		if wait := p.turn(d, now, 2*time.Second); wait > maxPaceLine+5*time.Second || wait < 2*time.Second {
			t.Fatalf("destination %d waits %v", i, wait)
		}
	}
	if len(p.turns) > maxTurns {
		t.Errorf("%d turns are kept", len(p.turns))
	}
}

// TestPace: a route of thirty a minute sends no more than that in any minute, and
// waits no longer than it must.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := smtptest.New(smtptest.Script{})
		r := mx(nobody("mx.example.net"))
		r.route.Messages = config.Rate{Count: 30, Per: time.Minute}
		c := faraway(t, p, r, 0)
		start := time.Now()
		var sent []time.Duration
		var longest time.Duration // in one Deliver
		for len(sent) < 90 {
			began := time.Now()
			o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
			longest = max(longest, time.Since(began))
			if o.Wait > 0 { // as the queue does
				time.Sleep(o.Wait)
				continue
			}
			sent = append(sent, time.Since(start))
		}
		if longest > maxPaceWait {
			t.Errorf("a worker was held for %v", longest)
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
