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
	now  received
}

func (s *sinkSession) Reset()        { s.now = received{} }
func (s *sinkSession) Logout() error { return nil }

func (s *sinkSession) Mail(from string, _ *smtp.MailOptions) error {
	s.now.From = from
	return nil
}

func (s *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.now.To = append(s.now.To, to)
	return nil
}

func (s *sinkSession) Data(r io.Reader) (err error) {
	if s.now.Data, err = io.ReadAll(r); err != nil {
		return err
	}
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	s.sink.mail = append(s.sink.mail, s.now)
	return nil
}
