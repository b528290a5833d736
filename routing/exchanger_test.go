package routing

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/dnstest"
	"github.com/postrider/postrider/internal/mail"
)

// newTestResolver asks servers and nobody else, with a short patience.
func newTestResolver(t testing.TB, servers ...*dnstest.Server) *Resolver {
	t.Helper()
	c := config.DNS{Timeout: 2 * time.Second}
	for _, s := range servers {
		c.Servers = append(c.Servers, s.Addr)
	}
	r := NewResolver(c)
	t.Cleanup(r.Close)
	return r
}

func newTestRouter(t testing.TB, s *dnstest.Server, change func(*Options)) *Router {
	t.Helper()
	o := Options{Hostname: "relay.example.com", IPv6: true, AddressLiterals: true}
	if change != nil {
		change(&o)
	}
	return NewRouter(newTestResolver(t, s), o)
}

// mxRoute is the built-in route.
func mxRoute(t testing.TB) *Route {
	t.Helper()
	table, err := NewTable(nil, config.Delivery{})
	if err != nil {
		t.Fatal(err)
	}
	return table.Match(&mail.Envelope{}, mail.Address{})
}

// hopsText writes hops as "mx1.example.com/10 192.0.2.1 2001:db8::1".
func hopsText(hops []NextHop) []string {
	var list []string
	for _, hop := range hops {
		s := fmt.Sprintf("%s/%d", hop.Host, hop.Preference)
		for _, addr := range hop.Addresses {
			s += " " + addr.String()
		}
		list = append(list, s)
	}
	return list
}

func replyText(err error) string {
	var e *mail.Error
	if !errors.As(err, &e) {
		return fmt.Sprint(err)
	}
	return fmt.Sprintf("%d %s", e.Code, e.Enhanced)
}

// chain is names n0 to n(length) with a CNAME each to the next.
func chain(zone dnstest.Zone, prefix string, length int) {
	for i := range length {
		zone[fmt.Sprintf("%s%d.test", prefix, i)] = []string{fmt.Sprintf("CNAME %s%d.test", prefix, i+1)}
	}
}

func rulesZone() dnstest.Zone {
	zone := dnstest.Zone{
		// A name that is an alias of one with MX records.
		"sh.example.net":      {"CNAME shmail.example.net"},
		"shmail.example.net":  {"MX 10 shmail2.example.net", "MX 5 shmail.example.net", "A 192.0.2.5"},
		"shmail2.example.net": {"A 192.0.2.6", "AAAA 2001:db8::6"},

		"implicit.test":      {"A 192.0.2.10"},
		"alias.test":         {"CNAME implicit.test"},
		"bare.test":          {"TXT nothing"},
		"null.test":          {"MX 0 .", "A 192.0.2.11"},
		"nullbeside.test":    {"MX 0 .", "MX 10 mx.test"},
		"mx.test":            {"A 192.0.2.20"},
		"mxcname.test":       {"MX 10 mxalias.test"},
		"mxalias.test":       {"CNAME mx.test"},
		"mxliteral.test":     {"MX 5 192.0.2.99", "MX 10 mx.test"},
		"onlyliteral.test":   {"MX 5 192.0.2.99"},
		"noaddress.test":     {"MX 10 bare.test", "A 192.0.2.12"},
		"mxnx.test":          {"MX 10 nosuch.test", "A 192.0.2.12"},
		"onebad.test":        {"MX 5 nosuch.test", "MX 10 mx.test"},
		"onesick.test":       {"MX 5 sick.test", "MX 10 mx.test"},
		"allsick.test":       {"MX 5 sick.test", "MX 10 nosuch.test"},
		"sick.test":          {"A 192.0.2.13"},
		"loop.test":          {"CNAME loop2.test"},
		"loop2.test":         {"CNAME loop.test"},
		"selfloop.test":      {"CNAME selfloop.test"},
		"dangling.test":      {"CNAME nosuch.test"},
		"own.test":           {"MX 5 mx.test", "MX 10 relay.example.com", "MX 10 equal.test", "MX 20 far.test"},
		"onlyown.test":       {"MX 10 Relay.Example.COM", "MX 20 mx.test"},
		"ownaddress.test":    {"MX 5 mx.test", "MX 10 me.test", "MX 20 far.test"},
		"onlyownaddr.test":   {"MX 10 me.test", "MX 20 mx.test"},
		"ownsick.test":       {"MX 5 sick.test", "MX 10 me.test"},
		"ownimplicit.test":   {"A 192.0.2.77"},
		"me.test":            {"A 192.0.2.77"},
		"equal.test":         {"A 192.0.2.21"},
		"far.test":           {"A 192.0.2.22"},
		"relay.example.com":  {"A 192.0.2.77"},
		"xn--bcher-kva.test": {"MX 10 mx.test"},
		"many.test":          {},
		"v6.test":            {"MX 10 onlyv6.test"},
		"onlyv6.test":        {"AAAA 2001:db8::9"},
		"zero.test":          {"MX 10 zerohost.test"},
		"zerohost.test":      {"A 0.0.0.0", "AAAA ::"},
		"servfail.test":      {"MX 10 mx.test", "A 192.0.2.14"},
		"refused.test":       {"MX 10 mx.test", "A 192.0.2.14"},
		"timeout.test":       {"MX 10 mx.test", "A 192.0.2.14"},
		"referral.test":      {"MX 10 mx.test", "A 192.0.2.14"},
		"empty.test":         {"MX 10 mx.test", "A 192.0.2.14"},
		"truncated.test":     {"MX 10 mx.test"},
		"forged.test":        {"MX 10 mx.test"},
		"forgedq.test":       {"MX 10 mx.test"},
		"noedns.test":        {"MX 10 mx.test"},
		"duplicate.test":     {"MX 10 mx.test", "MX 20 MX.test"},
		"badname.test":       {`MX 5 bad\032name.test`, "MX 10 mx.test"},
		"c10.test":           {"MX 10 mx.test"},
		"d11.test":           {"MX 10 mx.test"},
	}
	for i := range 9 {
		host := fmt.Sprintf("m%d.test", i)
		zone["many.test"] = append(zone["many.test"], fmt.Sprintf("MX %d %s", 10*i, host))
		zone[host] = []string{fmt.Sprintf("A 192.0.2.%d", 100+i)}
	}
	chain(zone, "c", 10)
	chain(zone, "d", 11)
	return zone
}

func TestFindingTheNextHost(t *testing.T) {
	s := dnstest.Start(t, rulesZone())
	s.Break("servfail.test", "MX", dnstest.ServFail)
	s.Break("refused.test", "MX", dnstest.Refused)
	s.Break("timeout.test", "MX", dnstest.Timeout)
	s.Break("referral.test", "*", dnstest.Referral)
	s.Break("empty.test", "MX", dnstest.Empty)
	s.Break("sick.test", "*", dnstest.ServFail)
	s.Break("truncated.test", "MX", dnstest.Truncated)
	s.Break("forged.test", "MX", dnstest.WrongID)
	s.Break("forgedq.test", "MX", dnstest.WrongQuestion)
	s.Break("noedns.test", "MX", dnstest.FormErr)
	r := newTestRouter(t, s, func(o *Options) {
		o.Listening = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:25")}
		o.Interfaces = []netip.Addr{netip.MustParseAddr("192.0.2.77")}
	})

	const mx = "mx.test/10 192.0.2.20"
	tests := []struct {
		domain string
		want   []string // hops
		reply  string   // or this error
		why    string
	}{
		{"sh.example.net", []string{"shmail.example.net/5 192.0.2.5", "shmail2.example.net/10 2001:db8::6 192.0.2.6"}, "",
			"1, 2, 3: CNAME, then MX by preference, then all addresses, IPv6 first"},
		{"alias.test", []string{"implicit.test/0 192.0.2.10"}, "", "1, 4: the name behind the CNAME is the implicit MX"},
		{"c0.test", []string{mx}, "", "1: ten CNAMEs are followed"},
		{"d0.test", nil, "550 5.4.6", "1: eleven are taken for a circle"},
		{"loop.test", nil, "550 5.4.6", "1: a circle is permanent"},
		{"selfloop.test", nil, "550 5.4.6", "1: a CNAME to itself is one too"},
		{"dangling.test", nil, "550 5.1.2", "6: NXDOMAIN behind a CNAME is NXDOMAIN"},
		{"implicit.test", []string{"implicit.test/0 192.0.2.10"}, "", "4: no MX: the name itself with preference 0"},
		{"bare.test", nil, "550 5.1.2", "4: no MX and no address: nothing receives mail"},
		{"noaddress.test", nil, "550 5.4.4", "4: no way back to A if the MX hosts have no address"},
		{"mxnx.test", nil, "550 5.4.4", "4: nor if they don't exist"},
		{"null.test", nil, "556 5.1.10", "5: null MX, though there is an address"},
		{"nullbeside.test", []string{mx}, "", "5: a null MX beside others is none (RFC 7505 3)"},
		{"nosuch.test", nil, "550 5.1.2", "6: NXDOMAIN bounces"},
		{"servfail.test", nil, "451 4.4.3", "6: SERVFAIL defers; no way back to A"},
		{"refused.test", nil, "451 4.4.3", "6: REFUSED defers"},
		{"timeout.test", nil, "451 4.4.3", "6: silence defers"},
		{"referral.test", nil, "451 4.4.3", "6: a server that doesn't resolve names says nothing about this one"},
		{"empty.test", []string{"empty.test/0 192.0.2.14"}, "", "4: no MX, from a resolver that sends no SOA"},
		{"onebad.test", []string{mx}, "", "3: a host that doesn't exist is left out"},
		{"onesick.test", []string{mx}, "", "6: SERVFAIL for one host leaves the others"},
		{"allsick.test", nil, "451 4.4.3", "6: one host may exist after all"},
		{"mxcname.test", []string{"mxalias.test/10 192.0.2.20"}, "", "7: an MX to a CNAME is followed, and keeps its name"},
		{"mxliteral.test", []string{mx}, "", "7: an address as MX is ignored"},
		{"onlyliteral.test", nil, "550 5.4.4", "7: and if it is the only one, nothing is left"},
		{"badname.test", []string{mx}, "", "7: so is what is no host name at all"},
		{"own.test", []string{"mx.test/5 192.0.2.20"}, "", "8: ourselves, our equals and all behind us are dropped"},
		{"onlyown.test", nil, "554 5.4.6", "8: nothing left: a loop, whatever the case of the name"},
		{"ownaddress.test", []string{"mx.test/5 192.0.2.20"}, "", "8: by address"},
		{"onlyownaddr.test", nil, "554 5.4.6", "8: by address, nothing left"},
		{"ownsick.test", nil, "451 4.4.3", "6, 8: the host preferred to us may have an address after all"},
		{"ownimplicit.test", nil, "554 5.4.6", "8: we are the implicit MX"},
		{"[192.0.2.1]", []string{"192.0.2.1/0 192.0.2.1"}, "", "9: an address literal"},
		{"[IPv6:2001:db8::1]", []string{"2001:db8::1/0 2001:db8::1"}, "", "9: an IPv6 literal"},
		{"[192.0.2.77]", nil, "554 5.4.6", "8, 9: a literal that is ourselves"},
		{"[0.0.0.0]", nil, "550 5.1.2", "9: a literal that is no host"},
		{"many.test", []string{"m0.test/0 192.0.2.100", "m1.test/10 192.0.2.101", "m2.test/20 192.0.2.102",
			"m3.test/30 192.0.2.103", "m4.test/40 192.0.2.104"}, "", "10: five hosts an attempt"},
		{"bücher.test", []string{mx}, "", "a domain in U-labels is asked for in A-labels"},
		{"truncated.test", []string{mx}, "", "a truncated answer is asked for over TCP"},
		{"forged.test", []string{mx}, "", "an answer with another ID is not believed"},
		{"forgedq.test", []string{mx}, "", "an answer to another question is not believed"},
		{"noedns.test", []string{mx}, "", "a server without EDNS is asked without"},
		{"duplicate.test", []string{mx}, "", "a host that is listed twice is tried once"},
		{"zero.test", nil, "550 5.4.4", "0.0.0.0 is no host"},
		{"localhost", nil, "554 5.4.6", "localhost is ourselves, without DNS"},
		{"a.invalid", nil, "550 5.1.2", "nothing below invalid exists"},
	}
	for _, tt := range tests {
		t.Run(tt.domain, func(t *testing.T) {
			plan, err := r.Plan(t.Context(), mxRoute(t), mail.MustParseDomain(tt.domain))
			if tt.reply != "" {
				if got := replyText(err); got != tt.reply {
					t.Errorf("%s: %s (%v), want %s", tt.why, got, err, tt.reply)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", tt.why, err)
			}
			if got := hopsText(plan.Hops); !slices.Equal(got, tt.want) {
				t.Errorf("%s: %q, want %q", tt.why, got, tt.want)
			}
			for _, hop := range plan.Hops {
				if hop.Port != 25 {
					t.Errorf("port %d", hop.Port)
				}
			}
		})
	}
	for _, name := range []string{"localhost", "a.invalid"} {
		if n := s.Queries(name, "*"); n != 0 {
			t.Errorf("%d questions about %s left the host", n, name)
		}
	}
}

func TestServersThatAnswerOneAliasAtATime(t *testing.T) {
	s := dnstest.Start(t, rulesZone())
	s.FollowCNAMEs(false)
	r := newTestRouter(t, s, nil)
	for domain, want := range map[string]string{
		"c0.test":       "[mx.test/10 192.0.2.20]",
		"mxcname.test":  "[mxalias.test/10 192.0.2.20]",
		"alias.test":    "[implicit.test/0 192.0.2.10]",
		"loop.test":     "550 5.4.6",
		"d0.test":       "550 5.4.6",
		"dangling.test": "550 5.1.2",
	} {
		plan, err := r.Plan(t.Context(), mxRoute(t), mail.MustParseDomain(domain))
		got := replyText(err)
		if err == nil {
			got = fmt.Sprint(hopsText(plan.Hops))
		}
		if got != want {
			t.Errorf("%s: %s, want %s", domain, got, want)
		}
	}
}

func TestEqualPreferencesAreMixed(t *testing.T) {
	zone := dnstest.Zone{"equal.test": {"MX 20 last.test"}, "last.test": {"A 192.0.2.200"}}
	for i := range 3 {
		host := fmt.Sprintf("e%d.test", i)
		zone["equal.test"] = append(zone["equal.test"], "MX 10 "+host)
		zone[host] = []string{fmt.Sprintf("A 192.0.2.%d", i+1)}
	}
	r := newTestRouter(t, dnstest.Start(t, zone), nil)
	first := map[string]int{}
	for range 300 {
		plan, err := r.Plan(t.Context(), mxRoute(t), mail.MustParseDomain("equal.test"))
		if err != nil {
			t.Fatal(err)
		}
		first[plan.Hops[0].Host]++
		if last := plan.Hops[3].Host; last != "last.test" {
			t.Fatalf("the least preferred is %s", last)
		}
	}
	for _, host := range []string{"e0.test", "e1.test", "e2.test"} {
		if first[host] < 40 { // 100 expected; this happens once in 10^13 runs
			t.Errorf("%s was first %d times of 300: %v", host, first[host], first)
		}
	}
}

func TestOwnAddressNeedsOwnPort(t *testing.T) {
	s := dnstest.Start(t, dnstest.Zone{"d.test": {"MX 10 me.test"}, "me.test": {"A 127.0.0.1"}})
	tests := []struct {
		listening string
		reply     string
		why       string
	}{
		{"127.0.0.1:2500", "<nil>", "whatever is on port 26 of this host is not this relay"},
		{"127.0.0.1:26", "554 5.4.6", "it is"},
		{"[::]:26", "554 5.4.6", "all addresses: the loopback too"},
		{"127.0.0.2:26", "<nil>", "another address of the loopback"},
	}
	for _, tt := range tests {
		r := newTestRouter(t, s, func(o *Options) {
			o.Port, o.Listening = 26, []netip.AddrPort{netip.MustParseAddrPort(tt.listening)}
		})
		_, err := r.Plan(t.Context(), mxRoute(t), mail.MustParseDomain("d.test"))
		if got := replyText(err); got != tt.reply {
			t.Errorf("listening on %s: %s, want %s: %s", tt.listening, got, tt.reply, tt.why)
		}
	}
}

// TestLoopbackInDNS: nobody's DNS leads to the mail server beside this relay, which
// may trust who comes from its own machine.
func TestLoopbackInDNS(t *testing.T) {
	s := dnstest.Start(t, dnstest.Zone{
		"evil.test": {"MX 10 me.test"}, "me.test": {"A 127.0.0.1", "AAAA ::1"}, "implicit.test": {"A 127.0.0.2"},
		"mixed.test": {"MX 10 both.test"}, "both.test": {"A 127.0.0.1", "A 192.0.2.1"}, "mapped.test": {"AAAA ::ffff:127.0.0.1"},
	})
	r := newTestRouter(t, s, nil)
	for _, row := range []struct{ domain, want, why string }{
		{"evil.test", "550 5.4.4", "its MX is this machine"},
		{"implicit.test", "550 5.1.2", "so is the domain itself"},
		{"mixed.test", "both.test/10 192.0.2.1", "another address is left"},
		{"mapped.test", "550 5.1.2", "an IPv4 address in IPv6"},
		{"localhost", "localhost/0 ::1 127.0.0.1", "that name means this machine, and no DNS is asked"},
	} {
		plan, err := r.Plan(t.Context(), mxRoute(t), mail.MustParseDomain(row.domain))
		got := replyText(err)
		if err == nil {
			got = strings.Join(hopsText(plan.Hops), ", ")
		}
		if got != row.want {
			t.Errorf("%s: %s, want %s: %s", row.domain, got, row.want, row.why)
		}
	}
}

func TestSettings(t *testing.T) {
	s := dnstest.Start(t, rulesZone())
	tests := []struct {
		domain string
		change func(*Options)
		want   string
		why    string
	}{
		{"[192.0.2.1]", func(o *Options) { o.AddressLiterals = false }, "550 5.7.1", "literals are switched off"},
		{"sh.example.net", func(o *Options) { o.IPv6 = false }, "[shmail.example.net/5 192.0.2.5 shmail2.example.net/10 192.0.2.6]", "no IPv6"},
		{"v6.test", func(o *Options) { o.IPv6 = false }, "451 4.4.3", "our setting is no reason to bounce"},
		{"v6.test", nil, "[onlyv6.test/10 2001:db8::9]", "IPv6 alone"},
	}
	for _, tt := range tests {
		plan, err := newTestRouter(t, s, tt.change).Plan(t.Context(), mxRoute(t), mail.MustParseDomain(tt.domain))
		got := replyText(err)
		if err == nil {
			got = fmt.Sprint(hopsText(plan.Hops))
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s: %s", tt.domain, got, tt.want, tt.why)
		}
	}
	r := newTestRouter(t, s, func(o *Options) { o.Port = 2526 })
	plan, err := r.Plan(t.Context(), mxRoute(t), mail.MustParseDomain("mxcname.test"))
	if err != nil || plan.Hops[0].Port != 2526 {
		t.Errorf("delivery.port: %+v, %v", plan, err)
	}
	if _, err := r.Plan(t.Context(), mxRoute(t), mail.Domain{}); replyText(err) != "550 5.1.3" {
		t.Errorf("no domain: %v", err)
	}
}

func TestOddExchangersAreLogged(t *testing.T) {
	var lines strings.Builder
	r := newTestRouter(t, dnstest.Start(t, rulesZone()), func(o *Options) { o.Log = textLog(&lines) })
	if _, err := r.Plan(t.Context(), mxRoute(t), mail.MustParseDomain("mxliteral.test")); err != nil {
		t.Fatal(err)
	}
	if got := lines.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "host=192.0.2.99") {
		t.Errorf("the log says %q", got)
	}
}
