package relay

import (
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/dnstest"
	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/relay/admin"
)

// swap is a reload that changes one key, and what is to come of it. In before and
// after PEER is the address of a peer that takes all mail, DNS that of a name server.
type swap struct {
	why           string
	before, after keys
	on            map[smtptest.Step]smtptest.Actor
	effect        func(*testing.T, *fixture, *smtptest.Peer)
}

func (s *swap) run(t *testing.T) {
	peer := smtptest.Start(t, smtptest.Script{On: s.on})
	dns := dnstest.Start(t, dnstest.Zone{"shop.test": {"MX 10 mx.shop.test"}, "mx.shop.test": {"A 192.0.2.1"}})
	names := strings.NewReplacer("PEER", peer.Addr().String(), "DNS", dns.Addr.String())
	before, after := keys{"routes": smarthost(peer)}, keys{}
	for key, value := range s.before {
		before[key] = names.Replace(value)
	}
	for key, value := range s.after {
		after[key] = names.Replace(value)
	}
	f := start(t, before)
	f.reload(after)
	s.effect(t, f, peer)
}

// TestReloadReachesClients: submission goes by the new configuration.
func TestReloadReachesClients(t *testing.T) {
	for _, row := range []swap{
		{why: "the greeting", after: keys{"hostname": "other.test"}, effect: func(t *testing.T, f *fixture, _ *smtptest.Peer) {
			if text := f.connect().want(220); !strings.HasPrefix(text, "other.test ") {
				t.Error(text)
			}
		}},
		{why: "a listener", after: keys{"listeners": `[{address: "127.0.0.2:0", auth: none, tls: none}]`}, effect: func(t *testing.T, f *fixture, _ *smtptest.Peer) {
			if addr := f.Addrs()[0].String(); !strings.HasPrefix(addr, "127.0.0.2:") {
				t.Error(addr)
			}
		}},
		{why: "a bound", after: keys{"submission": "{max_recipients: 1}"}, effect: func(t *testing.T, f *fixture, _ *smtptest.Peer) {
			c := f.greeted()
			c.do("MAIL FROM:<a@example.org>", 250)
			c.do("RCPT TO:<b@example.net>", 250)
			c.do("RCPT TO:<c@example.net>", 452)
		}},
		{why: "a policy", after: keys{"policies": `[{senders: ["*@example.com"]}]`}, effect: func(t *testing.T, f *fixture, _ *smtptest.Peer) {
			f.greeted().do("MAIL FROM:<a@example.org>", 550)
		}},
		{why: "room in the queue", after: keys{"queue": "{min_free: 1000TiB}"}, effect: func(t *testing.T, f *fixture, _ *smtptest.Peer) {
			c := f.greeted()
			c.do("MAIL FROM:<a@example.org>", 250)
			c.do("RCPT TO:<b@example.net>", 250)
			c.do("DATA", 452)
		}},
	} {
		t.Run(row.why, row.run)
	}
}

// TestReloadReachesTheQueue: what is queued goes by the new configuration.
func TestReloadReachesTheQueue(t *testing.T) {
	on := func(step smtptest.Step, a smtptest.Actor) map[smtptest.Step]smtptest.Actor {
		return map[smtptest.Step]smtptest.Actor{step: a}
	}
	stuck := on(smtptest.Content, smtptest.Do(smtptest.Action{Hang: true}))
	both := func(t *testing.T, f *fixture, peer *smtptest.Peer) {
		f.submit("b@example.net")
		f.submit("c@example.net")
		peer.AwaitStep(t, smtptest.Content, 2)
	}
	for _, row := range []swap{
		{why: "a route", after: keys{"routes": `[{name: other, smarthosts: ["smtp://PEER"], tls: none}]`}, effect: func(t *testing.T, f *fixture, peer *smtptest.Peer) {
			f.submit("b@example.net")
			peer.Await(t, 1)
			f.hold()
			f.submit("b@example.net")
			if e := f.waiting(); len(e) != 1 || e[0].Route != "other" {
				t.Errorf("%+v", e)
			}
		}},
		{why: "when it is tried again", on: on(smtptest.Mail, smtptest.Say("451 4.3.0 later")), after: keys{"retry": "{intervals: [8h]}"}, effect: func(t *testing.T, f *fixture, peer *smtptest.Peer) {
			f.submit("b@example.net")
			peer.AwaitStep(t, smtptest.Mail, 1)
			if err := f.queue.Stop(t.Context()); err != nil { // waits until it is settled
				t.Fatal(err)
			}
			if e := f.waiting(); len(e) != 1 || e[0].Due == nil || time.Until(*e[0].Due) < 4*time.Hour {
				t.Errorf("%+v", e)
			}
		}},
		{why: "the author of reports", on: on(smtptest.Rcpt, smtptest.ByPath(map[string]string{"b@example.net": "550 5.1.1 no"})), after: keys{"hostname": "other.test"}, effect: func(t *testing.T, f *fixture, peer *smtptest.Peer) {
			f.submit("b@example.net")
			report := string(peer.Await(t, 1)[0].Content)
			for _, want := range []string{"Reporting-MTA: dns; other.test\r\n", "postmaster@other.test"} {
				if !strings.Contains(report, want) {
					t.Errorf("no %s in:\n%s", want, report)
				}
			}
		}},
		{why: "attempts at once", on: stuck, before: keys{"delivery": "{concurrency: 1}"}, after: keys{"delivery": "{concurrency: 4}"}, effect: both},
		{why: "attempts at once to one destination", on: stuck, before: keys{"delivery": "{destination_concurrency: 1}"}, after: keys{"delivery": "{destination_concurrency: 2}"}, effect: both},
		{why: "recipients of a transaction", after: keys{"delivery": "{recipients_per_transaction: 2}"}, effect: func(t *testing.T, f *fixture, peer *smtptest.Peer) {
			f.submit("a@example.net", "b@example.net", "c@example.net")
			peer.Await(t, 2)
			f.hold()
			f.submit("a@example.net", "b@example.net", "c@example.net")
			if n := len(f.waiting()); n != 2 {
				t.Errorf("queued as %d deliveries", n)
			}
		}},
	} {
		t.Run(row.why, row.run)
	}
}

// TestReloadReachesDelivery: next hops are found and met by the new configuration.
func TestReloadReachesDelivery(t *testing.T) {
	mx := keys{"routes": "[]", "dns": `{servers: ["DNS"]}`}
	hops := func(want string) func(*testing.T, *fixture, *smtptest.Peer) {
		return func(t *testing.T, f *fixture, _ *smtptest.Peer) {
			x, err := f.explain(t.Context(), admin.Question{To: "b@shop.test"})
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(x.Hops); got != want {
				t.Errorf("%s, want %s; %s", got, want, x.Fault)
			}
		}
	}
	for _, row := range []swap{
		{why: "the name in EHLO", after: keys{"hostname": "other.test"}, effect: func(t *testing.T, f *fixture, peer *smtptest.Peer) {
			f.submit("b@example.net")
			peer.Await(t, 1)
			if line := peer.Sessions()[0].Commands[0]; line != "EHLO other.test" {
				t.Error(line)
			}
		}},
		{why: "the name server", before: keys{"routes": "[]", "dns": `{servers: ["127.0.0.1:9"], timeout: 1s}`}, after: mx, effect: hops("[{mx.shop.test 25 [192.0.2.1]}]")},
		{why: "the port", before: mx, after: keys{"delivery": "{port: 26}"}, effect: hops("[{mx.shop.test 26 [192.0.2.1]}]")},
	} {
		t.Run(row.why, row.run)
	}
}

// TestReloadKeepsCounts: nobody gets a new allowance.
func TestReloadKeepsCounts(t *testing.T) {
	f := start(t, keys{"policies": "[{limits: {messages: 1/hour}}]"})
	f.hold()
	f.submit("b@example.net")
	f.reload(keys{"submission": "{max_recipients: 10}"})
	f.greeted().do("MAIL FROM:<a@example.org>", 450)
}

// TestReloadOfTheLog: lines look different, and fewer are written.
func TestReloadOfTheLog(t *testing.T) {
	f := open(t, nil)
	f.reload(keys{"log": "{format: text, level: warn}"})
	f.logger.Info("not worth a line")
	f.logger.Warn("worth a line")
	text := f.logged()
	if strings.Contains(text, "not worth a line") || !strings.Contains(text, "worth a line") || strings.Contains(text, `"worth a line"}`) {
		t.Error(text)
	}
}

// TestReloadOfMemory: the collector has a new limit at once; what the engine does
// not give back is added to it.
func TestReloadOfMemory(t *testing.T) {
	t.Setenv("GOMEMLIMIT", "")
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	f := open(t, keys{"memory": "200MiB", "queue": "{memory: 80MiB}"})
	for _, row := range []struct {
		k    keys
		want int64 // MiB
	}{
		{keys{"memory": "300MiB"}, 300},
		{keys{"queue": "{memory: 60MiB}"}, 320},
		{keys{"queue": "{memory: 90MiB}"}, 300},
	} {
		f.reload(row.k)
		if got, want := debug.SetMemoryLimit(-1), (row.want<<20)/10*9; got != want {
			t.Errorf("%v: the limit is %d, want %d", row.k, got, want)
		}
	}
}

// TestNewListenersMeetNewRules: nobody is let in by a listener under the rules from
// before there was it.
func TestNewListenersMeetNewRules(t *testing.T) {
	f := start(t, nil)
	f.write(keys{"policies": `[{senders: ["*@example.com"]}]`})
	n, err := f.prepare()
	if err != nil {
		t.Fatal(err)
	}
	admit, admitted := n.admit, false
	n.admit = func() {
		if admitted = true; f.rules.Load() != n.rules {
			t.Error("listeners were opened before the new rules were in force")
		}
		admit()
	}
	f.commit(n)
	if !admitted {
		t.Error("listeners were not opened")
	}
}

// TestProfilesOfARefusedReload: what a refused configuration says of profiles is
// not in force.
func TestProfilesOfARefusedReload(t *testing.T) {
	sampled := func() bool { return runtime.SetMutexProfileFraction(-1) != 0 }
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := start(t, nil)
	was := f.keys["listeners"]
	f.write(keys{
		"listeners": `[{address: "` + taken.Addr().String() + `", auth: none, tls: none}]`,
		"admin":     `{address: "127.0.0.1:0", pprof: true}`,
	})
	if err := f.Reload(); err == nil {
		t.Fatal("a listener at a port that is taken was accepted")
	}
	if sampled() {
		t.Error("waiting is sampled by a configuration that was refused")
	}
	if f.reload(keys{"listeners": was}); !sampled() {
		t.Error("waiting is not sampled")
	}
	if f.reload(keys{"admin": `{address: ""}`}); sampled() {
		t.Error("waiting is sampled without an admin listener")
	}
}
