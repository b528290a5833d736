package routing

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/dnstest"
)

// scripted answers without a network and counts.
type scripted struct {
	answer func(q question) (*response, error)
	asked  atomic.Int64
}

func (s *scripted) ask(_ context.Context, q question) (*response, error) {
	s.asked.Add(1)
	return s.answer(q)
}

func address(owner string, ttl time.Duration, addr string) record {
	return record{owner: owner, kind: TypeA, ttl: ttl, addr: netip.MustParseAddr(addr)}
}

func alias(owner, target string, ttl time.Duration) record {
	return record{owner: owner, kind: TypeCNAME, ttl: ttl, target: target}
}

func TestCacheHoldsForTheTTL(t *testing.T) {
	const never = time.Duration(-1)
	tests := []struct {
		name string
		resp *response
		err  error
		// holds is how long no second question is asked; never: it is asked at once.
		holds time.Duration
		why   string
	}{
		{"positive", &response{records: []record{address("x", 300*time.Second, "192.0.2.1")}}, nil, 300 * time.Second, "its TTL"},
		{"shortest", &response{records: []record{address("x", 300*time.Second, "192.0.2.1"), address("x", 60*time.Second, "192.0.2.2")}}, nil,
			60 * time.Second, "the shortest of all"},
		{"alias", &response{records: []record{alias("x", "y", 20*time.Second), address("y", 300*time.Second, "192.0.2.1")}}, nil,
			20 * time.Second, "the alias counts too"},
		{"zero", &response{records: []record{address("x", 0, "192.0.2.1")}}, nil, minTTL, "long enough for one attempt"},
		{"long", &response{records: []record{address("x", 30*24*time.Hour, "192.0.2.1")}}, nil, maxTTL, "no longer than a day"},
		{"nxdomain", &response{nxdomain: true, negativeTTL: 90 * time.Second}, nil, 90 * time.Second, "the SOA's minimum"},
		{"empty", &response{negativeTTL: 90 * time.Second}, nil, 90 * time.Second, "no such type, too"},
		{"long_negative", &response{nxdomain: true, negativeTTL: 24 * time.Hour}, nil, maxNegativeTTL, "somebody may be repairing it"},
		{"no_soa", &response{nxdomain: true}, nil, never, "without SOA it is not cached (RFC 2308 5)"},
		{"negative_alias", &response{nxdomain: true, records: []record{alias("x", "y", 20*time.Second)}, negativeTTL: 90 * time.Second}, nil,
			20 * time.Second, "the alias may change sooner"},
		{"failure", nil, errors.New("SERVFAIL"), never, "a failure is no answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := &scripted{answer: func(question) (*response, error) { return tt.resp, tt.err }}
				r := newResolver(x, time.Second)
				defer r.Close()
				look := func(want int64) {
					t.Helper()
					_, err := r.Lookup(t.Context(), "X.", TypeA)
					if !errors.Is(err, tt.err) {
						t.Errorf("%v", err)
					}
					if got := x.asked.Load(); got != want {
						t.Errorf("%s: asked %d times, want %d", tt.why, got, want)
					}
				}
				look(1)
				if tt.holds == never {
					look(2)
					return
				}
				time.Sleep(tt.holds - time.Millisecond)
				look(1)
				time.Sleep(time.Millisecond)
				look(2)
			})
		})
	}
}

func TestAnswersTellWhatIsLeftOfTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &scripted{answer: func(question) (*response, error) {
			return &response{records: []record{address("x", 300*time.Second, "192.0.2.1")}}, nil
		}}
		r := newResolver(x, time.Second)
		defer r.Close()
		a, err := r.Lookup(t.Context(), "x", TypeA)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Second)
		if got := a.left(time.Now()); got != 200*time.Second {
			t.Errorf("%s", got)
		}
	})
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(100)
	for i := range 1000 {
		c.put(question{fmt.Sprint(i), TypeA}, &Answer{TTL: time.Hour, Asked: time.Now()})
	}
	if n := len(c.answers); n != 100 {
		t.Errorf("%d answers kept", n)
	}
}

func TestTheSameQuestionIsAskedOnce(t *testing.T) {
	gate := make(chan struct{})
	s := dnstest.Start(t, dnstest.Zone{"a.test": {"A 192.0.2.1"}})
	s.Break("a.test", "A", dnstest.Hold(gate))
	r := NewResolver(config.DNS{Servers: []netip.AddrPort{s.Addr}, Timeout: 20 * time.Second})
	defer r.Close()

	impatient, leave := context.WithCancel(t.Context())
	var first sync.WaitGroup
	first.Go(func() {
		if _, err := r.Lookup(impatient, "a.test", TypeA); !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that left got %v", err)
		}
	})
	var others sync.WaitGroup
	for range 100 {
		others.Go(func() {
			a, err := r.Lookup(t.Context(), "a.test", TypeA)
			if err != nil || len(a.Addresses) != 1 {
				t.Errorf("%v, %v", a, err)
			}
		})
	}
	leave()
	first.Wait() // its leaving takes nobody's answer away
	close(gate)
	others.Wait()
	if n := s.Queries("a.test", "A"); n != 1 {
		t.Errorf("%d questions", n)
	}
}

func TestCloseEndsLookups(t *testing.T) {
	gate := make(chan struct{})
	defer close(gate)
	s := dnstest.Start(t, dnstest.Zone{"a.test": {"A 192.0.2.1"}})
	asked := make(chan struct{})
	s.Break("a.test", "A", dnstest.Hold(gate))
	r := NewResolver(config.DNS{Servers: []netip.AddrPort{s.Addr}, Timeout: time.Minute})
	var failed error
	go func() {
		defer close(asked)
		_, failed = r.Lookup(t.Context(), "a.test", TypeA)
	}()
	for s.Queries("a.test", "A") == 0 {
		select {
		case <-asked:
			t.Fatal(failed)
		case <-time.After(time.Millisecond):
		}
	}
	r.Close()
	if <-asked; failed == nil {
		t.Error("a closed resolver answered")
	}
	if _, err := r.Lookup(t.Context(), "b.test", TypeA); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
	r.Close()
}

func TestServersFailOver(t *testing.T) {
	zone := dnstest.Zone{"a.test": {"A 192.0.2.1"}, "b.test": {"A 192.0.2.2"}, "c.test": {"A 192.0.2.3"}}
	tests := []struct {
		fault  dnstest.Fault
		sticks bool // the next question goes to the other server first
		why    string
	}{
		{dnstest.Timeout, true, "a server that is silent"},
		{dnstest.Refused, true, "a server that is not for us"},
		{dnstest.Referral, true, "a server that resolves no names"},
		{dnstest.Garbage, true, "a server that talks nonsense"},
		{dnstest.ServFail, false, "a server that can't resolve this name"},
	}
	for _, tt := range tests {
		first, second := dnstest.Start(t, zone), dnstest.Start(t, zone)
		first.Break("*", "*", tt.fault)
		r := newTestResolver(t, first, second)
		for _, name := range []string{"a.test", "b.test"} {
			a, err := r.Lookup(t.Context(), name, TypeA)
			if err != nil || len(a.Addresses) != 1 {
				t.Errorf("%s: %v, %v", tt.why, a, err)
			}
		}
		if asked := first.Queries("b.test", "A") > 0; asked == tt.sticks {
			t.Errorf("%s: asked first again: %t", tt.why, asked)
		}
		second.Break("*", "*", dnstest.Timeout)
		first.Break("*", "*")
		if a, err := r.Lookup(t.Context(), "c.test", TypeA); err != nil || len(a.Addresses) != 1 {
			t.Errorf("%s: and back: %v, %v", tt.why, a, err)
		}
	}
	nobody := NewResolver(config.DNS{Servers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1")}, Timeout: time.Second})
	defer nobody.Close()
	if _, err := nobody.Lookup(t.Context(), "a.test", TypeA); err == nil {
		t.Error("nobody listens, and there is an answer")
	}
}

func TestNXDOMAINIsFinal(t *testing.T) {
	first := dnstest.Start(t, dnstest.Zone{})
	second := dnstest.Start(t, dnstest.Zone{"a.test": {"A 192.0.2.1"}})
	a, err := newTestResolver(t, first, second).Lookup(t.Context(), "a.test", TypeA)
	if err != nil || a.Exists {
		t.Errorf("%+v, %v", a, err)
	}
	if n := second.Queries("*", "*"); n != 0 {
		t.Errorf("the second server was asked %d times", n)
	}
}

func TestALostPacketIsSentAgain(t *testing.T) {
	s := dnstest.Start(t, dnstest.Zone{"a.test": {"A 192.0.2.1"}})
	s.Break("a.test", "A", dnstest.Timeout, dnstest.OK)
	r := NewResolver(config.DNS{Servers: []netip.AddrPort{s.Addr}, Timeout: 4 * time.Second})
	defer r.Close()
	if a, err := r.Lookup(t.Context(), "a.test", TypeA); err != nil || len(a.Addresses) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestSlowAAAADoesNotHoldUpMail(t *testing.T) {
	gate := make(chan struct{})
	s := dnstest.Start(t, dnstest.Zone{"d.test": {"MX 10 mx.test"}, "mx.test": {"A 192.0.2.1", "AAAA 2001:db8::1"}})
	s.Break("mx.test", "AAAA", dnstest.Hold(gate))
	resolver := NewResolver(config.DNS{Servers: []netip.AddrPort{s.Addr}, Timeout: time.Minute})
	defer resolver.Close()
	defer close(gate)
	r := NewRouter(resolver, Options{IPv6: true})
	start := time.Now()
	plan, err := r.Plan(t.Context(), mxRoute(t), mustDomain("d.test"))
	if err != nil || len(plan.Hops) != 1 || len(plan.Hops[0].Addresses) != 1 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestObserve(t *testing.T) {
	s := dnstest.Start(t, dnstest.Zone{"a.test": {"A 192.0.2.1"}})
	s.Break("b.test", "*", dnstest.ServFail)
	r := newTestResolver(t, s)
	var seen []string
	r.Observe(func(kind Type, _ time.Duration, err error) { seen = append(seen, fmt.Sprint(kind, err != nil)) })
	for _, name := range []string{"a.test", "a.test", "b.test"} {
		_, _ = r.Lookup(t.Context(), name, TypeA)
	}
	if got := fmt.Sprint(seen); got != "[A false A true]" {
		t.Errorf("observed %s", got)
	}
}

func TestResolvConf(t *testing.T) {
	for _, tt := range []struct{ text, want, why string }{
		{"# c\nsearch example.com\nnameserver 192.0.2.1\nnameserver  2001:db8::1 # c\noptions ndots:5\n",
			"[192.0.2.1:53 [2001:db8::1]:53]", "servers in order; the search list is not for us"},
		{"nameserver fe80::1%eth0\n", "[[fe80::1%eth0]:53]", "a link-local server"},
		{"nameserver\nnameserver dns.example.com\n", "[127.0.0.1:53 [::1]:53]", "nothing usable: the loopback"},
		{"", "[127.0.0.1:53 [::1]:53]", "an empty or missing file, too"},
	} {
		if got := fmt.Sprint(parseResolvConf(tt.text)); got != tt.want {
			t.Errorf("%s: %s", tt.why, got)
		}
	}
}

func TestResolvConfIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	synctest.Test(t, func(t *testing.T) {
		s := newServers(nil, path)
		check := func(want, why string) {
			t.Helper()
			time.Sleep(fileInterval)
			if got := fmt.Sprint(s.order()); got != want {
				t.Errorf("%s: %s", why, got)
			}
		}
		write := func(text string) {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		check("[127.0.0.1:53 [::1]:53]", "no file yet")
		write("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
		check("[192.0.2.1:53 192.0.2.2:53]", "the file is there")
		s.failed(netip.MustParseAddrPort("192.0.2.1:53"))
		check("[192.0.2.2:53 192.0.2.1:53]", "what failed is last")
		time.Sleep(serverPenalty)
		check("[192.0.2.1:53 192.0.2.2:53]", "for its time")
		write("nameserver 192.0.2.33\n")
		check("[192.0.2.33:53]", "the file has changed")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		check("[127.0.0.1:53 [::1]:53]", "the file is gone")
	})
}
