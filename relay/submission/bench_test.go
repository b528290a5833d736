package submission

import (
	"bufio"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// nullQueue takes everything and keeps nothing.
type nullQueue struct{}

type nullIncoming struct{ id mail.ID }

func (nullQueue) Receive(context.Context) (Incoming, error)                          { return nullIncoming{testID}, nil }
func (in nullIncoming) ID() mail.ID                                                  { return in.id }
func (nullIncoming) Write(p []byte) (int, error)                                     { return len(p), nil }
func (nullIncoming) Commit(context.Context, *mail.Envelope, queue.Disposition) error { return nil }
func (nullIncoming) Discard()                                                        {}

// benchServer is a server without a queue, for clients without AUTH, which
// would measure the back end.
func benchServer(b *testing.B) string {
	s := start(b, func(o *Options, _ *bench) {
		o.Listeners[0].Auth, o.Listeners[0].TLS = config.AuthNone, config.TLSNone
		o.Queue, o.Recorder = nullQueue{}, nil
		o.Limits.SessionTimeout = 0
	})
	return s.Addrs()[0].String()
}

var benchContent = "From: a@example.com\r\nTo: b@example.net\r\nSubject: x\r\n\r\n" +
	strings.Repeat(strings.Repeat("x", 76)+"\r\n", 10_000/78) + ".\r\n"

const benchEnvelope = "MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n"

// exchangeLines writes out and reads n reply lines.
func exchangeLines(b *testing.B, conn net.Conn, r *bufio.Reader, out string, n int) {
	if _, err := conn.Write([]byte(out)); err != nil {
		b.Fatal(err)
	}
	for range n {
		line, err := r.ReadSlice('\n')
		if err != nil {
			b.Fatal(err)
		}
		if line[0] == '4' || line[0] == '5' {
			b.Fatalf("got %s", line)
		}
	}
}

// BenchmarkTransaction is a pipelined transaction of 10 KB on one connection.
func BenchmarkTransaction(b *testing.B) {
	conn, err := net.Dial("tcp", benchServer(b))
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	exchangeLines(b, conn, r, "HELO x\r\n", 2)
	b.ReportAllocs()
	b.SetBytes(int64(len(benchContent)))
	for b.Loop() {
		exchangeLines(b, conn, r, benchEnvelope, 3)
		exchangeLines(b, conn, r, benchContent, 1)
	}
}

// BenchmarkConnection is a connection for each message of 10 KB, command by
// command, as simple clients do.
func BenchmarkConnection(b *testing.B) {
	addr := benchServer(b)
	b.ReportAllocs()
	b.SetBytes(int64(len(benchContent)))
	for b.Loop() {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		r := bufio.NewReader(conn)
		exchangeLines(b, conn, r, "", 1)
		exchangeLines(b, conn, r, "HELO x\r\n", 1)
		for command := range strings.Lines(benchEnvelope) {
			exchangeLines(b, conn, r, command, 1)
		}
		exchangeLines(b, conn, r, benchContent, 1)
		exchangeLines(b, conn, r, "QUIT\r\n", 1)
		_ = conn.Close()
	}
}

// BenchmarkContent is the way of 10 KB from the socket's buffer to the queue,
// without system calls.
func BenchmarkContent(b *testing.B) {
	wire := []byte(benchContent)
	s := dripping(nil, 0)
	defer s.in.release()
	source := &drip{step: 1 << 20}
	s.in.conn, s.conn = source, source
	b.ReportAllocs()
	b.SetBytes(int64(len(wire)))
	for b.Loop() {
		source.wire = wire
		s.tx = &transaction{incoming: nullIncoming{testID}, envelope: &mail.Envelope{Recipients: make([]mail.Recipient, 1)}}
		if r := s.take(&dotSource{in: &s.in, clock: s.contentClock()}); r.Code != 250 {
			b.Fatal(r)
		}
	}
}
