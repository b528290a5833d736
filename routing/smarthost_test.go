package routing

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/dnstest"
	"github.com/postrider/postrider/internal/mail"
)

func smarthostRoute(list ...config.Smarthost) *Route {
	return &Route{Route: config.Route{Name: "provider", Smarthosts: list}, Smarthost: true}
}

// fixedRouter knows no DNS: smarthosts are addresses.
func fixedRouter(t testing.TB) *Router {
	t.Helper()
	resolver := newResolver(nil, time.Second)
	t.Cleanup(resolver.Close)
	return NewRouter(resolver, Options{IPv6: true})
}

func hosts(t testing.TB, r *Router, route *Route) string {
	t.Helper()
	plan, err := r.Plan(t.Context(), route, mail.Domain{})
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, hop := range plan.Hops {
		list = append(list, hop.Host)
	}
	return strings.Join(list, " ")
}

func TestSmarthostsAreHosts(t *testing.T) {
	s := dnstest.Start(t, dnstest.Zone{
		"smtp.provider.test": {"MX 10 mx.provider.test", "A 192.0.2.1", "AAAA 2001:db8::1"},
		"mx.provider.test":   {"A 192.0.2.2"},
		"alias.test":         {"CNAME smtp.provider.test"},
		"relay.mail.svc":     {"A 192.0.2.3"},
		"sick.test":          {"A 192.0.2.4"},
		"bare.test":          {"TXT nothing"},
	})
	s.Break("sick.test", "*", dnstest.ServFail)
	r := newTestRouter(t, s, func(o *Options) { o.Port = 2526 })
	file := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(file, []byte("192.0.2.9 aliased.pod # hostAliases\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.hosts = newHostsFile(file)
	tests := []struct {
		hosts []config.Smarthost
		want  []string
		reply string
		why   string
	}{
		{smarthosts("smtp.provider.test:587"), []string{"smtp.provider.test/0 2001:db8::1 192.0.2.1"}, "", "addresses, whatever the MX says"},
		{smarthosts("alias.test:587"), []string{"alias.test/0 2001:db8::1 192.0.2.1"}, "", "certificates are for the name the operator wrote"},
		{smarthosts("relay.mail.svc:25"), []string{"relay.mail.svc/0 192.0.2.3"}, "", "a service in the cluster, as an absolute name"},
		{smarthosts("192.0.2.7:25"), []string{"192.0.2.7/0 192.0.2.7"}, "", "an address"},
		{[]config.Smarthost{{Host: "2001:db8::7", Port: 25}}, []string{"2001:db8::7/0 2001:db8::7"}, "", "an IPv6 address"},
		{smarthosts("localhost:25"), []string{"localhost/0 ::1 127.0.0.1"}, "", "localhost, without DNS"},
		{smarthosts("Aliased.Pod:25"), []string{"Aliased.Pod/0 192.0.2.9"}, "", "the hosts file"},
		{smarthosts("sick.test:25", "192.0.2.7:25"), []string{"192.0.2.7/0 192.0.2.7"}, "", "one that can't be looked up is left out"},
		{smarthosts("sick.test:25"), nil, "451 4.4.3", "no answer"},
		{smarthosts("nosuch.test:25"), nil, "451 4.4.3", "a name that isn't there is the operator's mistake: never permanent"},
		{smarthosts("bare.test:25"), nil, "451 4.4.3", "nor is a name without address"},
	}
	for _, tt := range tests {
		plan, err := r.Plan(t.Context(), smarthostRoute(tt.hosts...), mail.Domain{})
		if tt.reply != "" {
			if got := replyText(err); got != tt.reply {
				t.Errorf("%s: %s, want %s", tt.why, got, tt.reply)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.why, err)
			continue
		}
		if got := hopsText(plan.Hops); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.why, got, tt.want)
		}
		if plan.Hops[0].Port == 2526 {
			t.Errorf("%s: delivery.port is not for smarthosts", tt.why)
		}
	}
	if n := s.Queries("*", "MX"); n != 0 {
		t.Errorf("%d questions about MX", n)
	}
	if n := s.Queries("localhost", "*") + s.Queries("aliased.pod", "*"); n != 0 {
		t.Errorf("%d questions about local names", n)
	}
}

func TestSmarthostSettingsReachTheHop(t *testing.T) {
	route := smarthostRoute(config.Smarthost{Host: "192.0.2.1", Port: 465, Implicit: true, Username: "app"})
	plan, err := fixedRouter(t).Plan(t.Context(), route, mail.Domain{})
	if err != nil {
		t.Fatal(err)
	}
	if hop := plan.Hops[0]; hop.Port != 465 || !hop.Implicit || hop.Username != "app" {
		t.Errorf("%+v", hop)
	}
}

func TestPriorityAndWeight(t *testing.T) {
	r := fixedRouter(t)
	list := smarthosts("192.0.2.1:25", "192.0.2.2:25", "192.0.2.3:25", "192.0.2.4:25", "192.0.2.5:25", "192.0.2.6:25")
	if got, want := hosts(t, r, smarthostRoute(list...)), "192.0.2.1 192.0.2.2 192.0.2.3 192.0.2.4 192.0.2.5"; got != want {
		t.Errorf("in the order of the list, at most five: %s", got)
	}
	for i := range list {
		list[i].Priority = -i
	}
	if got := hosts(t, r, smarthostRoute(list...)); !strings.HasPrefix(got, "192.0.2.6 192.0.2.5 ") {
		t.Errorf("the lowest number first: %s", got)
	}
	equal := smarthosts("192.0.2.1:25", "192.0.2.2:25", "192.0.2.3:25")
	for i := range equal {
		equal[i].Priority, equal[i].Weight = 1, []int{7, 2, 1}[i]
	}
	first := map[string]int{}
	const rounds = 2000
	for range rounds {
		name, _, _ := strings.Cut(hosts(t, r, smarthostRoute(equal...)), " ")
		first[name]++
	}
	for name, share := range map[string]int{"192.0.2.1": 70, "192.0.2.2": 20, "192.0.2.3": 10} {
		if got := 100 * first[name] / rounds; got < share-6 || got > share+6 { // more than five sigma
			t.Errorf("%s was first in %d %% of the plans, want %d", name, got, share)
		}
	}
}

func TestFailoverAndFailBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fixedRouter(t)
		route := smarthostRoute(smarthosts("192.0.2.1:25", "192.0.2.2:25")...)
		first := &NextHop{Host: "192.0.2.1", Port: 25}
		order := func(want, why string) {
			t.Helper()
			if got := hosts(t, r, route); got != want {
				t.Errorf("%s: %s", why, got)
			}
		}
		const normal, swapped = "192.0.2.1 192.0.2.2", "192.0.2.2 192.0.2.1"
		order(normal, "by priority")
		r.Report(first, netip.MustParseAddr("192.0.2.1"), false)
		order(swapped, "what failed is last, and still there")
		r.Report(first, netip.MustParseAddr("192.0.2.1"), false)
		time.Sleep(firstPenalty - time.Second)
		order(swapped, "for its time")
		time.Sleep(2 * time.Second)
		if _, err := r.Explain(t.Context(), route, mail.Domain{}); err != nil {
			t.Fatal(err)
		}
		order(normal, "then one attempt probes it, and explaining is no attempt")
		order(swapped, "while the others wait for what comes of it")
		r.Report(first, netip.MustParseAddr("192.0.2.1"), false)
		time.Sleep(firstPenalty + time.Second)
		order(swapped, "it failed again: twice as long")
		time.Sleep(firstPenalty)
		order(normal, "and is probed again")
		r.Report(first, netip.MustParseAddr("192.0.2.1"), true)
		order(normal, "it works")
		order(normal, "for everyone")

		r.Report(first, netip.Addr{}, false)
		order(swapped, "a refused login is the host's, whatever the address")
		r = NewRouter(r.resolver, Options{Before: r})
		order(swapped, "also for the router that comes after")
		r.Report(first, netip.MustParseAddr("192.0.2.1"), true)
		order(normal, "and ends with the first success")
	})
}

func TestProbesThatNobodyReportsAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHealth(10)
		s := hostSubject("a", 25)
		h.trouble(s, time.Now())
		time.Sleep(firstPenalty)
		if h.failing(s, time.Now(), true) || !h.failing(s, time.Now(), true) {
			t.Error("one caller probes, the next does not")
		}
		time.Sleep(probeTime)
		if h.failing(s, time.Now(), true) {
			t.Error("the probe was never reported, and nobody probes again")
		}
	})
}

func TestHealthIsBounded(t *testing.T) {
	h := newHealth(100)
	for i := range 1000 {
		h.trouble(hostSubject(fmt.Sprint("host", i), 25), time.Now())
	}
	if n := len(h.troubles); n != 100 || h.size.Load() != 100 {
		t.Errorf("%d troubles remembered, %d counted", n, h.size.Load())
	}
}

func TestFailedAddressesAreLast(t *testing.T) {
	s := dnstest.Start(t, dnstest.Zone{
		"two.test": {"MX 10 a.test", "MX 20 b.test"},
		"a.test":   {"A 192.0.2.1", "AAAA 2001:db8::1"},
		"b.test":   {"A 192.0.2.2"},
	})
	r := newTestRouter(t, s, nil)
	check := func(want, why string) {
		t.Helper()
		plan, err := r.Plan(t.Context(), mxRoute(t), mail.MustParseDomain("two.test"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(hopsText(plan.Hops), ", "); got != want {
			t.Errorf("%s: %s, want %s", why, got, want)
		}
	}
	a := &NextHop{Host: "a.test", Port: 25}
	check("a.test/10 2001:db8::1 192.0.2.1, b.test/20 192.0.2.2", "IPv6 first")
	r.Report(a, netip.MustParseAddr("2001:db8::1"), false)
	check("a.test/10 192.0.2.1 2001:db8::1, b.test/20 192.0.2.2", "the other address of the same host")
	r.Report(a, netip.MustParseAddr("192.0.2.1"), false)
	check("b.test/20 192.0.2.2, a.test/10 2001:db8::1 192.0.2.1", "a host none of whose addresses works is last")
	r.Report(a, netip.MustParseAddr("192.0.2.1"), true)
	check("a.test/10 192.0.2.1 2001:db8::1, b.test/20 192.0.2.2", "one address is enough")
}

func TestFailingHostsDoNotUseUpTheAttempt(t *testing.T) {
	zone := rulesZone() // many.test has nine MX hosts
	r := newTestRouter(t, dnstest.Start(t, zone), nil)
	for i := range 5 {
		r.Report(&NextHop{Host: fmt.Sprintf("m%d.test", i), Port: 25}, netip.Addr{}, false)
	}
	plan, err := r.Plan(t.Context(), mxRoute(t), mail.MustParseDomain("many.test"))
	if err != nil {
		t.Fatal(err)
	}
	want := "m5.test/50 192.0.2.105, m6.test/60 192.0.2.106, m7.test/70 192.0.2.107, m8.test/80 192.0.2.108, m0.test/0 192.0.2.100"
	if got := strings.Join(hopsText(plan.Hops), ", "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestInterleave(t *testing.T) {
	var v6, v4 []netip.Addr
	for i := range 3 {
		v6 = append(v6, netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i+1)))
	}
	v4 = append(v4, netip.MustParseAddr("192.0.2.1"))
	got := interleave(v6, v4)
	if len(got) != 4 || !got[0].Is6() || got[1] != v4[0] || !got[2].Is6() || !got[3].Is6() {
		t.Errorf("%v", got)
	}
}

func TestHostsFile(t *testing.T) {
	names := parseHosts("# comment\n127.0.0.1 localhost\n192.0.2.1\tA.example  b # c\n192.0.2.2 a.example\nnonsense x\n0.0.0.0 blocked\n::1\n")
	if got := fmt.Sprint(names["a.example"], names["b"]); got != "[192.0.2.1 192.0.2.2] [192.0.2.1]" {
		t.Error(got)
	}
	for _, name := range []string{"c", "x", "blocked", ""} {
		if len(names[name]) > 0 {
			t.Errorf("%q is in the file", name)
		}
	}
}
