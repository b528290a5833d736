package delivery

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
)

// BenchmarkDeliverWarm is a 10 KB message for one recipient on a session at rest.
// "loopback" is with the kernel and a sink, "memory" is our own part alone: the
// peer is a connection that answers without being asked twice.
func BenchmarkDeliverWarm(b *testing.B) {
	content := hello + strings.Repeat(strings.Repeat("x", 76)+"\r\n", 10_000/78)
	b.Run("loopback", func(b *testing.B) {
		p := smtptest.Start(b, smtptest.Script{Keywords: modern, Forget: true})
		benchmark(b, content, courier(b, mx(hop("mx.example.net", p.Addr())), Timeouts{}))
	})
	for name, answers := range map[string]string{
		"memory_bdat": "250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
		"memory_data": "250-mx\r\n250 PIPELINING\r\n",
	} {
		b.Run(name, func(b *testing.B) {
			c := New(Options{
				Settings: settings(mx(nobody("mx.example.net"))),
				Dial: func(context.Context, string, string) (net.Conn, error) {
					return &parrot{hello: answers, out: "220 mx\r\n"}, nil
				},
			})
			b.Cleanup(c.Close)
			benchmark(b, content, c)
		})
	}
}

func benchmark(b *testing.B, content string, c *Courier) {
	a := message(content, "1@example.net")
	a.Delivery.Destination = queue.Destination{Route: "mx", Domain: a.Envelope.Recipients[0].Address.Domain}
	b.ReportAllocs()
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if o := c.Deliver(b.Context(), a); o.Results[0].Verdict != queue.Success {
			b.Fatalf("outcome: %+v", o)
		}
	}
}

// parrot is a connection to a server that says yes to everything.
type parrot struct {
	net.Conn
	hello, out string
}

func (p *parrot) Close() error                     { return nil }
func (p *parrot) SetDeadline(time.Time) error      { return nil }
func (p *parrot) SetReadDeadline(time.Time) error  { return nil }
func (p *parrot) SetWriteDeadline(time.Time) error { return nil }

func (p *parrot) Write(b []byte) (int, error) {
	switch {
	case strings.HasPrefix(string(b[:4]), "EHLO"):
		p.out = p.hello
	case strings.HasPrefix(string(b[:4]), "MAIL"):
		p.out = "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"
		if strings.HasSuffix(string(b[len(b)-6:]), "DATA\r\n") {
			p.out += "354 go\r\n"
		} else if len(b) > 200 {
			p.out += "250 2.0.0 Ok: queued as 12345\r\n"
		}
	default:
		p.out = "250 2.0.0 Ok: queued as 12345\r\n"
	}
	return len(b), nil
}

func (p *parrot) Read(b []byte) (int, error) {
	n := copy(b, p.out)
	p.out = p.out[n:]
	return n, nil
}
