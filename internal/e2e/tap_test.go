//go:build realpeers

package e2e

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// tap stands before a mail server and keeps what clients say to it, flight by
// flight: all that comes before the server says something again.
type tap struct {
	listener net.Listener
	server   string

	mu       sync.Mutex // guards what follows
	sessions []*tapped
	running  sync.WaitGroup
}

// tapped is one session.
type tapped struct {
	flights []string // of the client
	answers bool     // the server spoke last
}

func newTap(t testing.TB, at, server string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{listener: l, server: server}
	p.running.Go(p.serve)
	t.Cleanup(func() {
		l.Close()
		p.running.Wait()
	})
	return p
}

func (p *tap) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.join(client) })
	}
}

// join carries one session until either side ends it.
func (p *tap) join(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer server.Close()
	s := &tapped{answers: true}
	p.mu.Lock()
	p.sessions = append(p.sessions, s)
	p.mu.Unlock()
	said := func(b []byte) {
		if s.answers {
			s.flights = append(s.flights, "")
		}
		s.flights[len(s.flights)-1] += string(b)
		s.answers = false
	}
	p.running.Go(func() { p.carry(client, server, func([]byte) { s.answers = true }) })
	p.carry(server, client, said)
}

// carry copies from one side to the other and tells note of it first.
func (p *tap) carry(to, from net.Conn, note func([]byte)) {
	defer to.Close() // and so the other direction ends too
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			p.mu.Lock()
			note(buf[:n])
			p.mu.Unlock()
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				from.Close()
			}
			return
		}
	}
}

// flights returns those of all sessions.
func (p *tap) flights() (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sessions {
		all = append(all, s.flights...)
	}
	return all
}

// assertFlights checks that PIPELINING and CHUNKING were made use of: MAIL and RCPT
// leave together, content by BDAT, and on a session that has taken some before all
// in one flight.
func (p *tap) assertFlights(t testing.TB) {
	t.Helper()
	transactions, whole := 0, 0
	for _, f := range p.flights() {
		if f == "DATA\r\n" || strings.Contains(f, "\r\nDATA\r\n") {
			t.Errorf("DATA was said to a server that offers CHUNKING: %.200q", f)
		}
		if !strings.HasPrefix(f, "MAIL FROM:") {
			continue
		}
		transactions++
		if !strings.Contains(f, "\r\nRCPT TO:") {
			t.Errorf("RCPT waited for the answer to MAIL: %.200q", f)
		}
		if strings.Contains(f, "\r\nBDAT ") {
			whole++
		}
	}
	if transactions == 0 || whole == 0 {
		t.Errorf("%d transactions, %d of them in one flight:\n%.2000q", transactions, whole, p.flights())
	}
}
