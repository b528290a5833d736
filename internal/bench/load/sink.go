package load

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Manner is how a receiver behaves towards its clients.
type Manner int

// Manners of receivers.
const (
	Healthy Manner = iota
	// Silent accepts connections and never says a word.
	Silent
	// Throttling answers 451 to every second recipient, and 421 in place of
	// the third transaction of each connection.
	Throttling
)

// Sink receives mail on one or more loopback addresses and throws it away.
type Sink struct {
	Ledger   *Ledger // may be nil
	Chunking bool    // offer CHUNKING and take BDAT
	// Manner tells how the receiver at an address behaves; nil: all healthy.
	Manner func(netip.Addr) Manner

	messages   atomic.Int64
	recipients atomic.Int64
	listeners  []net.Listener
	serving    sync.WaitGroup
	mu         sync.Mutex
	conns      map[net.Conn]bool // guarded by mu; nil once closed
}

// Listen opens the addresses, all at the same port, and serves them until
// Close. With port 0 the system chooses.
func (s *Sink) Listen(port uint16, addresses ...netip.Addr) error {
	s.conns = map[net.Conn]bool{}
	for _, address := range addresses {
		if !address.IsLoopback() {
			s.Close()
			return fmt.Errorf("%s is no loopback address", address)
		}
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", netip.AddrPortFrom(address, port).String())
		if err != nil {
			s.Close()
			return fmt.Errorf("open sink: %w", err)
		}
		port = uint16(l.Addr().(*net.TCPAddr).Port)
		s.listeners = append(s.listeners, l)
		s.serving.Go(func() { s.accept(l, s.manner(address)) })
	}
	return nil
}

// Port returns the port all addresses share.
func (s *Sink) Port() uint16 { return uint16(s.listeners[0].Addr().(*net.TCPAddr).Port) }

// Messages returns how many transactions were completed.
func (s *Sink) Messages() int { return int(s.messages.Load()) }

// Recipients returns how many recipients the completed transactions had.
func (s *Sink) Recipients() int { return int(s.recipients.Load()) }

// Close ends all connections and waits for what served them.
func (s *Sink) Close() {
	for _, l := range s.listeners {
		l.Close()
	}
	s.mu.Lock()
	conns := s.conns
	s.conns = nil
	s.mu.Unlock()
	for conn := range conns {
		conn.Close()
	}
	s.serving.Wait()
}

func (s *Sink) manner(address netip.Addr) Manner {
	if s.Manner == nil {
		return Healthy
	}
	return s.Manner(address)
}

func (s *Sink) accept(l net.Listener, manner Manner) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return // closed
		}
		if !s.track(conn) {
			conn.Close()
			return
		}
		s.serving.Go(func() {
			defer s.forget(conn)
			newReceiver(s, conn, manner).serve()
		})
	}
}

func (s *Sink) track(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return false
	}
	s.conns[conn] = true
	return true
}

func (s *Sink) forget(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}
