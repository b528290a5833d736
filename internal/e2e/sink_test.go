package e2e

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// sink is a next hop that takes everything and remembers it.
type sink struct {
	Addr   string
	server *smtp.Server

	mu   sync.Mutex // guards mail
	mail []received
}

type received struct {
	From string
	To   []string
	Data []byte
}

// newSink listens on addr, or on a free loopback port if addr is empty.
func newSink(t testing.TB, addr string) *sink {
	t.Helper()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{Addr: l.Addr().String()}
	s.server = smtp.NewServer(s)
	s.server.Domain = "sink.test"
	s.server.MaxLineLength = 1 << 20
	s.server.EnableSMTPUTF8 = true
	done := make(chan struct{})
	go func() { s.server.Serve(l); close(done) }()
	t.Cleanup(func() { s.server.Close(); <-done })
	return s
}

// messages returns what has arrived so far.
func (s *sink) messages() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.mail...)
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mail)
}

// NewSession implements smtp.Backend.
func (s *sink) NewSession(*smtp.Conn) (smtp.Session, error) { return &sinkSession{sink: s}, nil }

type sinkSession struct {
	sink *sink

	// mu guards now: go-smtp runs Data in a goroutine of its own for BDAT, and
	// resets the session while Data may still run if the connection breaks.
	mu  sync.Mutex
	now received
}

func (s *sinkSession) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = received{}
}

func (s *sinkSession) Logout() error { return nil }

func (s *sinkSession) Mail(from string, _ *smtp.MailOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.From = from
	return nil
}

func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.To = append(s.now.To, to)
	return nil
}

func (s *sinkSession) Data(r io.Reader) error {
	s.mu.Lock()
	m := s.now
	s.mu.Unlock()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m.Data = data
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.mail = append(s.sink.mail, m)
	return nil
}
