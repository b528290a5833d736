package dnstest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ask(t *testing.T, s *Server, network, name string, rrtype uint16) (*dns.Msg, error) {
	t.Helper()
	client := &dns.Client{Net: network, Timeout: 300 * time.Millisecond}
	reply, _, err := client.Exchange(new(dns.Msg).SetQuestion(dns.Fqdn(name), rrtype), s.Addr.String())
	return reply, err
}

func TestAnswers(t *testing.T) {
	s := Start(t, Zone{
		"Example.com":       {"MX 10 mx1.example.com", "7 MX 20 mx2.example.com."},
		"mx1.example.com":   {"A 127.0.0.2", "AAAA ::1"},
		"www.example.com":   {"CNAME mx1.example.com"},
		"a.b.c.example.com": {"A 127.0.0.3"},
		"null.example.com":  {"MX 0 ."},
	})
	tests := []struct {
		name   string
		rrtype uint16
		rcode  int
		want   []string
		why    string
	}{
		{"example.COM", dns.TypeMX, dns.RcodeSuccess,
			[]string{"example.com.\t300\tIN\tMX\t10 mx1.example.com.", "example.com.\t7\tIN\tMX\t20 mx2.example.com."},
			"case is ignored, names are absolute, a TTL may be given"},
		{"www.example.com", dns.TypeA, dns.RcodeSuccess,
			[]string{"www.example.com.\t300\tIN\tCNAME\tmx1.example.com.", "mx1.example.com.\t300\tIN\tA\t127.0.0.2"},
			"a chain is followed as a resolver follows it"},
		{"mx1.example.com", dns.TypeMX, dns.RcodeSuccess, nil, "the name exists, the type doesn't"},
		{"b.c.example.com", dns.TypeA, dns.RcodeSuccess, nil, "an empty non-terminal exists"},
		{"nosuch.example.com", dns.TypeA, dns.RcodeNameError, nil, "a name that isn't there"},
		{"null.example.com", dns.TypeMX, dns.RcodeSuccess, []string{"null.example.com.\t300\tIN\tMX\t0 ."}, "a null MX"},
	}
	for _, tt := range tests {
		for _, network := range []string{"udp", "tcp"} {
			reply, err := ask(t, s, network, tt.name, tt.rrtype)
			if err != nil {
				t.Fatalf("%s: %v", tt.why, err)
			}
			var got []string
			for _, rr := range reply.Answer {
				got = append(got, rr.String())
			}
			if reply.Rcode != tt.rcode || !slices.Equal(got, tt.want) {
				t.Errorf("%s (%s): %s %q, want %q", tt.why, network, dns.RcodeToString[reply.Rcode], got, tt.want)
			}
			if len(tt.want) == 0 && (len(reply.Ns) != 1 || reply.Ns[0].Header().Ttl != NegativeTTL) {
				t.Errorf("%s: no SOA in %v", tt.why, reply)
			}
		}
	}
	if n := s.Queries("*", "*"); n != 12 {
		t.Errorf("counted %d queries, want 12", n)
	}
	if n := s.Queries("EXAMPLE.com.", "mx"); n != 2 {
		t.Errorf("counted %d MX queries, want 2", n)
	}
}

func TestFaults(t *testing.T) {
	s := Start(t, Zone{"a.test": {"A 127.0.0.2"}, "b.test": {"A 127.0.0.3"}})
	s.Break("a.test", "A", ServFail, Refused, OK)
	for i, want := range []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeSuccess, dns.RcodeSuccess} {
		reply, err := ask(t, s, "udp", "a.test", dns.TypeA)
		if err != nil || reply.Rcode != want {
			t.Errorf("answer %d of the script: %v, %v, want %s", i, reply, err, dns.RcodeToString[want])
		}
	}
	s.Break("*", "*", Timeout)
	if reply, err := ask(t, s, "udp", "b.test", dns.TypeA); err == nil {
		t.Errorf("a silent server answered %v", reply)
	}
	s.Break("*", "*")
	if reply, err := ask(t, s, "udp", "b.test", dns.TypeA); err != nil || len(reply.Answer) != 1 {
		t.Errorf("after the end of the fault: %v, %v", reply, err)
	}
	s.Break("b.test", "*", Referral)
	if reply, err := ask(t, s, "udp", "b.test", dns.TypeA); err != nil || reply.Rcode != dns.RcodeSuccess || len(reply.Answer) != 0 ||
		len(reply.Ns) != 1 || reply.RecursionAvailable || reply.Authoritative {
		t.Errorf("a referral: %v, %v", reply, err)
	}
	s.Break("b.test", "*", FormErr)
	if reply, err := ask(t, s, "udp", "b.test", dns.TypeA); err != nil || len(reply.Answer) != 1 {
		t.Errorf("without EDNS: %v, %v", reply, err)
	}
	s.Break("b.test", "*", Truncated)
	if reply, err := ask(t, s, "udp", "b.test", dns.TypeA); err != nil || !reply.Truncated || len(reply.Answer) != 0 {
		t.Errorf("truncated: %v, %v", reply, err)
	}
	if reply, err := ask(t, s, "tcp", "b.test", dns.TypeA); err != nil || reply.Truncated || len(reply.Answer) != 1 {
		t.Errorf("truncated, over TCP: %v, %v", reply, err)
	}
}

func TestLongAnswersAreTruncatedOverUDP(t *testing.T) {
	var records []string
	for i := range 60 {
		records = append(records, fmt.Sprintf("A 127.0.1.%d", i))
	}
	s := Start(t, Zone{"big.test": records})
	if reply, err := ask(t, s, "udp", "big.test", dns.TypeA); err != nil || !reply.Truncated {
		t.Errorf("60 addresses in 512 octets: %v, %v", reply, err)
	}
	if reply, err := ask(t, s, "tcp", "big.test", dns.TypeA); err != nil || len(reply.Answer) != 60 {
		t.Errorf("60 addresses over TCP: %v, %v", reply, err)
	}
}

func TestHeldAnswersEndWithTheTest(t *testing.T) {
	gate := make(chan struct{})
	s := Start(t, Zone{"a.test": {"A 127.0.0.2"}})
	s.Break("a.test", "A", Hold(gate))
	if _, err := ask(t, s, "udp", "a.test", dns.TypeA); err == nil {
		t.Error("a held question was answered")
	}
	close(gate)
	if reply, err := ask(t, s, "udp", "a.test", dns.TypeA); err != nil || len(reply.Answer) != 1 {
		t.Errorf("after the gate opened: %v, %v", reply, err)
	}
	s.Break("a.test", "A", Delay(time.Hour))
	if _, err := ask(t, s, "udp", "a.test", dns.TypeA); err == nil {
		t.Error("a delayed question was answered at once")
	}
}
