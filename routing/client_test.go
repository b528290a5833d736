package routing

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestAnswersAreChecked(t *testing.T) {
	ask := new(dns.Msg).SetQuestion("a.test.", dns.TypeMX)
	tests := []struct {
		change func(*dns.Msg)
		want   bool
		why    string
	}{
		{func(*dns.Msg) {}, true, "the answer"},
		{func(m *dns.Msg) { m.Question[0].Name = "A.TeSt." }, true, "case does not count"},
		{func(m *dns.Msg) { m.Id++ }, false, "another ID"},
		{func(m *dns.Msg) { m.Response = false }, false, "a question"},
		{func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, false, "another kind of message"},
		{func(m *dns.Msg) { m.Question[0].Name = "b.test." }, false, "another name"},
		{func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeA }, false, "another type"},
		{func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, false, "another class"},
		{func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, false, "two questions"},
		{func(m *dns.Msg) { m.Question = nil }, false, "no question"},
		{func(m *dns.Msg) { m.Question = nil; m.Rcode = dns.RcodeFormatError }, true, "FORMERR may leave it out"},
	}
	for _, tt := range tests {
		reply := new(dns.Msg).SetReply(ask)
		tt.change(reply)
		if got := answers(reply, ask); got != tt.want {
			t.Errorf("%s: %t", tt.why, got)
		}
	}
}

func TestLameServersSayNothing(t *testing.T) {
	rr := func(text string) []dns.RR {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		return []dns.RR{rr}
	}
	tests := []struct {
		change func(*dns.Msg)
		want   bool
		why    string
	}{
		{func(m *dns.Msg) { m.Ns = rr(". 300 IN NS a.root-servers.invalid.") }, true, "a referral"},
		{func(*dns.Msg) {}, true, "nothing at all"},
		{func(m *dns.Msg) { m.RecursionAvailable = true }, false, "a resolver that sends no SOA"},
		{func(m *dns.Msg) { m.Authoritative = true }, false, "an authority that sends none"},
		{func(m *dns.Msg) { m.Ns = rr("test. 300 IN SOA ns.test. h.test. 1 2 3 4 5") }, false, "the SOA says that there are no records"},
		{func(m *dns.Msg) { m.Answer = rr("a.test. 300 IN CNAME b.test.") }, false, "an alias"},
		{func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }, false, "there is no such name"},
	}
	for _, tt := range tests {
		reply := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion("a.test.", dns.TypeMX))
		tt.change(reply)
		if got := isLame(reply); got != tt.want {
			t.Errorf("%s: %t", tt.why, got)
		}
	}
}

func TestTTLsWithTheirHighestBitAreZero(t *testing.T) {
	if seconds(1<<31) != 0 || seconds(1<<31-1) <= 0 { // RFC 2181 8
		t.Error("a TTL of 2^31 counts")
	}
}

// FuzzMessage lets a server say anything at all, over UDP, and checks what comes
// of it: an error or an answer within its bounds.
func FuzzMessage(f *testing.F) {
	seed := func(records ...string) {
		m := new(dns.Msg).SetQuestion("a.test.", dns.TypeMX)
		m.Response = true
		for _, text := range records {
			rr, err := dns.NewRR(text)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	seed("a.test. 60 MX 10 mx.test.", "a.test. 60 MX 0 .")
	seed("a.test. 60 CNAME b.test.", "b.test. 60 CNAME a.test.")
	seed("a.test. 60 CNAME b.test.", "b.test. 60 MX 10 192.0.2.1.")
	f.Add([]byte("\x00\x00"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		x := &scripted{answer: func(question) (*response, error) {
			m := new(dns.Msg)
			if err := m.Unpack(packet); err != nil {
				return nil, err
			}
			return translate(m), nil
		}}
		r := newResolver(x, time.Second)
		defer r.Close()
		for _, kind := range []Type{TypeMX, TypeA, TypeAAAA} {
			a, err := r.Lookup(t.Context(), "a.test", kind)
			if err != nil {
				continue
			}
			if len(a.MX) > maxMX || len(a.Addresses) > maxAddresses || len(a.Aliases) > maxAliases || a.TTL > maxTTL {
				t.Errorf("%d exchangers, %d addresses, %d aliases for %s", len(a.MX), len(a.Addresses), len(a.Aliases), a.TTL)
			}
		}
		if plan, err := NewRouter(r, Options{IPv6: true}).Plan(t.Context(), mxRoute(t), mustDomain("a.test")); err == nil {
			for _, hop := range plan.Hops {
				if hop.Host == "" || len(hop.Addresses) == 0 {
					t.Errorf("a hop to nowhere: %+v", hop)
				}
			}
		}
	})
}

func TestACallerThatLeavesEndsTheQuestion(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	server := silent.LocalAddr().(*net.UDPAddr).AddrPort()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		buf := make([]byte, udpSize)
		_, _, _ = silent.ReadFrom(buf) // it has been asked
		cancel()
	}()
	c := newClient(newServers(nil, ""), time.Hour)
	if _, err := c.askServer(ctx, server, question{"a.test", TypeA}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
