// Package dnstest is a DNS server for tests: a zone written as a map, served on
// loopback over UDP and TCP, that fails on request and counts what it was asked.
//
// It answers like a resolver, not like an authority: recursion is available,
// CNAMEs are followed within the zone, names it doesn't have are NXDOMAIN with
// an SOA. A server lives as long as its test; nothing of it is left afterwards.
package dnstest

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// DefaultTTL is the TTL of records that name none, NegativeTTL that of negative
// answers (the SOA's and its minimum), both in seconds.
const (
	DefaultTTL  = 300
	NegativeTTL = 60
)

// Server is a running DNS server.
type Server struct {
	// Addr is where it listens, UDP and TCP alike.
	Addr netip.AddrPort

	mu      sync.Mutex
	zone    Zone
	faults  map[question][]Fault
	queries map[question]int
	chase   bool
	done    chan struct{} // closed at the end; what is held back gives up
}

// question is a name in lower case without its last dot, and a type. Name "*"
// and type "*" stand for all of them.
type question struct{ name, rrtype string }

// Start serves zone on a free port of 127.0.0.1 until the test ends.
func Start(tb testing.TB, zone Zone) *Server {
	tb.Helper()
	return StartOn(tb, netip.MustParseAddr("127.0.0.1"), zone)
}

// StartOn serves zone on a free port of the given loopback address.
func StartOn(tb testing.TB, ip netip.Addr, zone Zone) *Server {
	tb.Helper()
	if !ip.IsLoopback() {
		tb.Fatalf("dnstest: %s is no loopback address", ip)
	}
	s := &Server{
		zone:    Zone{},
		faults:  map[question][]Fault{},
		queries: map[question]int{},
		chase:   true,
		done:    make(chan struct{}),
	}
	for name, records := range zone {
		if _, err := parseRecords(name, records); err != nil {
			tb.Fatalf("dnstest: %v", err)
		}
		s.zone[canonical(name)] = records
	}
	packets, listener, err := listen(ip)
	if err != nil {
		tb.Fatalf("dnstest: %v", err)
	}
	s.Addr = packets.LocalAddr().(*net.UDPAddr).AddrPort()
	s.run(tb, &dns.Server{PacketConn: packets, Handler: s})
	s.run(tb, &dns.Server{Listener: listener, Handler: s})
	tb.Cleanup(func() { close(s.done) }) // runs first: frees what is held back
	return s
}

func (s *Server) run(tb testing.TB, server *dns.Server) {
	started := make(chan struct{})
	stopped := make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() {
		defer close(stopped)
		_ = server.ActivateAndServe() // ends with an error when it is shut down
	}()
	select {
	case <-started:
	case <-stopped:
		tb.Fatal("dnstest: the server does not start")
	}
	tb.Cleanup(func() {
		_ = server.Shutdown()
		<-stopped
	})
}

// listen finds a port that is free for both protocols.
func listen(ip netip.Addr) (net.PacketConn, net.Listener, error) {
	var last error
	for range 20 {
		packets, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
		if err != nil {
			return nil, nil, err
		}
		addr := packets.LocalAddr().(*net.UDPAddr).AddrPort()
		listener, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(addr))
		if err == nil {
			return packets, listener, nil
		}
		packets.Close()
		last = err
	}
	return nil, nil, fmt.Errorf("no port is free for UDP and TCP: %w", last)
}

// Set replaces the records of name; without records the name exists and has
// none. It panics on a record it can't read.
func (s *Server) Set(name string, records ...string) {
	if _, err := parseRecords(name, records); err != nil {
		panic("dnstest: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone[canonical(name)] = records
}

// Remove takes name out of the zone: NXDOMAIN from now on.
func (s *Server) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.zone, canonical(name))
}

// FollowCNAMEs says whether an answer holds the whole chain, as a resolver's
// does (the default), or the first CNAME alone.
func (s *Server) FollowCNAMEs(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chase = on
}

// Break makes questions fail in the given ways, one after the other; the last
// way stays in force. Name or type "*" stands for all; the more particular
// script wins. Without faults the questions are answered again.
func (s *Server) Break(name, rrtype string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := question{canonical(name), strings.ToUpper(rrtype)}
	if len(faults) == 0 {
		delete(s.faults, q)
		return
	}
	s.faults[q] = faults
}

// Queries returns how often the question was asked, over either protocol;
// retries count. Name or type "*" stands for all.
func (s *Server) Queries(name, rrtype string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	want := question{canonical(name), strings.ToUpper(rrtype)}
	n := 0
	for q, count := range s.queries {
		if (want.name == "*" || want.name == q.name) && (want.rrtype == "*" || want.rrtype == q.rrtype) {
			n += count
		}
	}
	return n
}

// next counts a question and says how to answer it.
func (s *Server) next(q question) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queries[q]++
	for _, key := range []question{q, {q.name, "*"}, {"*", q.rrtype}, {"*", "*"}} {
		script, ok := s.faults[key]
		if !ok {
			continue
		}
		if len(script) > 1 {
			s.faults[key] = script[1:]
		}
		return script[0]
	}
	return OK
}

// wait returns after d, or false once the test has ended.
func (s *Server) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.done:
		return false
	}
}
