package smtptest

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// Peer is a scripted SMTP server.
type Peer struct {
	script   Script
	listener net.Listener

	serving sync.WaitGroup

	mu       sync.Mutex // guards what follows
	changed  *sync.Cond
	steps    map[Step]int
	sessions []*Session
	messages []Message
	open     map[net.Conn]bool
	closed   bool
}

// Session is one connection to a peer, as it was.
type Session struct {
	// Received is every octet the client sent, after decryption.
	Received []byte
	// Commands are the lines it sent outside of content.
	Commands []string
	// TLS says that the session was encrypted, and User who logged in and
	// Mechanism how.
	TLS             bool
	User, Mechanism string
	// Ended says that it is over, and Quit that the client said so.
	Ended, Quit bool
}

// Message is one message that the peer said 2yz to.
type Message struct {
	// Session counts from 1.
	Session int
	// Mail and Rcpt are the whole commands.
	Mail string
	Rcpt []string
	// From and To are the addresses in them.
	From string
	To   []string
	// Content is without transparency dots.
	Content []byte
	// Chunked says that it came by BDAT.
	Chunked bool
}

// New returns a peer that listens nowhere; Serve gives it connections.
func New(s Script) *Peer {
	p := &Peer{script: s, steps: make(map[Step]int), open: make(map[net.Conn]bool)}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// Start returns a peer that listens on a free port of 127.0.0.1 until the test
// ends.
func Start(t testing.TB, s Script) *Peer {
	t.Helper()
	return StartAt(t, "127.0.0.1:0", s)
}

// StartAt is Start at a given address, such as "127.0.0.2:2525".
func StartAt(t testing.TB, address string, s Script) *Peer {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p := New(s)
	p.listener = l
	p.serving.Go(p.accept)
	t.Cleanup(p.Close)
	return p
}

func (p *Peer) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.serving.Go(func() { p.Serve(conn) })
	}
}

// Addr is where the peer listens.
func (p *Peer) Addr() netip.AddrPort {
	return p.listener.Addr().(*net.TCPAddr).AddrPort()
}

// Close ends all sessions and waits for them.
func (p *Peer) Close() {
	if p.listener != nil {
		p.listener.Close()
	}
	p.mu.Lock()
	p.closed = true
	for conn := range p.open {
		conn.Close()
	}
	p.mu.Unlock()
	p.serving.Wait()
}

// enter registers a connection; false says that the peer is closed.
func (p *Peer) enter(conn net.Conn) (number int, s *Session, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, nil, false
	}
	p.open[conn] = true
	s = new(Session)
	p.sessions = append(p.sessions, s)
	return len(p.sessions), s, true
}

func (p *Peer) leave(conn net.Conn, s *Session) {
	conn.Close()
	p.update(func() {
		delete(p.open, conn)
		s.Ended = true
	})
}

// update changes what the mutex guards and wakes those who wait for it.
func (p *Peer) update(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

// Messages returns what has been accepted so far.
func (p *Peer) Messages() []Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.messages)
}

// Sessions returns copies of all sessions so far.
func (p *Peer) Sessions() []Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Session, len(p.sessions))
	for i, s := range p.sessions {
		all[i] = *s
		all[i].Received = slices.Clone(s.Received)
		all[i].Commands = slices.Clone(s.Commands)
	}
	return all
}

// Steps returns how often a step was reached.
func (p *Peer) Steps(s Step) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.steps[s]
}

// Await returns the messages once there are n, and fails the test if that takes
// more than ten seconds.
func (p *Peer) Await(t testing.TB, n int) []Message {
	t.Helper()
	p.AwaitUntil(t, func() bool { return len(p.messages) >= n })
	return p.Messages()
}

// AwaitEnded waits until n sessions are over.
func (p *Peer) AwaitEnded(t testing.TB, n int) []Session {
	t.Helper()
	p.AwaitUntil(t, func() bool {
		ended := 0
		for _, s := range p.sessions {
			if s.Ended {
				ended++
			}
		}
		return ended >= n
	})
	return p.Sessions()
}

// AwaitStep waits until a step has been reached n times.
func (p *Peer) AwaitStep(t testing.TB, s Step, n int) {
	t.Helper()
	p.AwaitUntil(t, func() bool { return p.steps[s] >= n })
}

// AwaitUntil waits until done holds; it is asked, under the peer's mutex, whenever
// something has happened.
func (p *Peer) AwaitUntil(t testing.TB, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, func() { p.update(func() {}) })()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !done() {
		if ctx.Err() != nil {
			t.Errorf("peer: waited 10 s in vain: %d sessions, %d messages", len(p.sessions), len(p.messages))
			return
		}
		p.changed.Wait()
	}
}
