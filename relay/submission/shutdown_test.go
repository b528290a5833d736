package submission

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/config"
)

// TestDrain is the contract of SIGTERM: idle and new clients hear 421, a
// transaction that runs comes to its end.
func TestDrain(t *testing.T) {
	b := start(t, nil)
	idle, busy, chunks := b.dial(t), b.dial(t), b.dial(t)
	idle.login()
	busy.login()
	busy.begin()
	busy.send("x: y\r\n\r\n")
	chunks.login()
	chunks.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\n" + bdat("x: y\r\n", false))
	chunks.want("250 ")
	chunks.want("250 ")
	chunks.want("250 ")

	ended := make(chan error, 1)
	go func() {
		ctx, cancel := contextFor(t, 10*time.Second)
		defer cancel()
		ended <- b.Shutdown(ctx)
	}()
	idle.want("421 4.3.2 ")
	idle.closed()

	fresh := b.connect(t)
	fresh.want("421 4.3.2 ")
	fresh.closed()

	busy.send("body\r\n.\r\n")
	busy.want("250 2.0.0 queued")
	busy.want("421 4.3.2 ")
	busy.closed()

	select {
	case err := <-ended:
		t.Fatalf("it ended (%v) with a transaction running", err)
	default:
	}
	chunks.send(bdat("\r\nbody\r\n", true))
	chunks.want("250 2.0.0 queued")
	chunks.want("421 4.3.2 ")
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if n := len(b.queue.all()); n != 2 {
		t.Errorf("%d messages were accepted, want 2", n)
	}
	if err := b.Shutdown(t.Context()); err != nil {
		t.Errorf("a second time: %v", err)
	}
	late := b.connect(t)
	late.want("421 4.3.2 ")
	late.closed()
	b.Close()
	if conn, err := net.Dial("tcp", b.Addrs()[0].String()); err == nil {
		conn.Close()
		t.Error("it listens after Close")
	}
}

// TestDrainUnderTLS: a client that is idle under TLS hears of it too.
func TestDrainUnderTLS(t *testing.T) {
	b := start(t, func(o *Options, _ *bench) { o.Listeners[0].TLS = config.TLSImplicit })
	c := b.connect(t)
	c.encrypt()
	c.want("220 ")
	c.login()
	ended := make(chan error, 1)
	go func() { ended <- b.Shutdown(t.Context()) }()
	c.want("421 4.3.2 ")
	c.closed()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

// TestLeavingBeforeTheFirstWord: who has connected and says nothing, where it has to
// speak first, holds up neither the shutdown nor a reload that retires its listener.
func TestLeavingBeforeTheFirstWord(t *testing.T) {
	implicit := func(o *Options, _ *bench) { o.Listeners[0].TLS = config.TLSImplicit }
	proxied := func(o *Options, _ *bench) {
		o.Listeners[0].ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	// others that come after it are greeted: so it has been accepted.
	encrypted := func(c *client) { c.encrypt(); c.want("220 ") }
	announced := func(c *client) { c.send(proxyV1); c.want("220 ") }
	for _, row := range []struct {
		why    string
		change func(*Options, *bench)
		other  func(*client)
		silent func(*client)
	}{
		{"implicit TLS", implicit, encrypted, func(*client) {}},
		{"half a handshake", implicit, encrypted, func(c *client) { c.send("\x16\x03\x01") }},
		{"behind a proxy", proxied, announced, func(*client) {}},
		{"half a PROXY header", proxied, announced, func(c *client) { c.send("PROXY TCP4 ") }},
		{"after STARTTLS", nil, func(c *client) { c.want("220 ") }, func(c *client) {
			c.want("220 ")
			c.do("EHLO x", "250-")
			c.do("STARTTLS", "220 ")
		}},
	} {
		for _, end := range []string{"shutdown", "reload"} {
			t.Run(row.why+", "+end, func(t *testing.T) {
				b := start(t, row.change)
				silent, other := b.connect(t), b.connect(t)
				row.silent(silent)
				row.other(other)
				if end == "reload" {
					b.reloaded(t, func(r *Reloadable) { r.Listeners[0].LegacyAuthLine = true })
				} else {
					ctx, cancel := contextFor(t, 5*time.Second)
					defer cancel()
					if err := b.Shutdown(ctx); err != nil {
						t.Error(err)
					}
				}
				silent.closed()
			})
		}
	}
}

// TestDrainIsBounded: what doesn't end in time is cut off, and not accepted.
func TestDrainIsBounded(t *testing.T) {
	b := start(t, nil)
	c := b.dial(t)
	c.login()
	c.begin()
	c.send("x: y\r\n\r\n")
	ctx, cancel := contextFor(t, 50*time.Millisecond)
	defer cancel()
	if err := b.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that something was cut off", err)
	}
	c.closed()
	late := b.connect(t)
	late.want("421 4.3.2 ")
	late.closed()
	if n := len(b.queue.all()); n != 0 {
		t.Errorf("%d messages were accepted", n)
	}
}

// TestCloseEndsFarewells: a client that is being turned away, and is silent where it
// has to speak first, holds up no Close.
func TestCloseEndsFarewells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Hostname: "x", Limits: testLimits, TLS: func() *tls.Config { return testTLS }})
		ours, theirs := net.Pipe()
		defer ours.Close()
		s.turnAway(&listener{conf: config.Listener{TLS: config.TLSImplicit}}, theirs, replyShutdown)
		synctest.Wait() // until it waits for the client
		began := time.Now()
		s.Close()
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestStartOpensAllOrNothing(t *testing.T) {
	b := start(t, nil)
	taken := b.Addrs()[0].String()
	s := New(Options{Hostname: "x", Limits: testLimits, Listeners: []config.Listener{
		{Address: "127.0.0.1:0"}, {Address: taken},
	}})
	err := s.Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), taken) {
		t.Fatalf("got %v, want an error that names the address", err)
	}
	if n := len(s.Addrs()); n != 0 {
		t.Errorf("%d listeners stayed open", n)
	}
	s.Close()
	if err := s.Start(t.Context()); err == nil {
		t.Error("it started after Close")
	}
}

// TestUnsafeListeners: the configuration refuses these before; so does Start.
func TestUnsafeListeners(t *testing.T) {
	for _, row := range []struct {
		why string
		l   config.Listener
	}{
		{"auth: none on all addresses", config.Listener{Address: ":0", Auth: config.AuthNone}},
		{"auth: none on an address of the network", config.Listener{Address: "192.0.2.1:0", Auth: config.AuthNone}},
		{"auth: none on a name", config.Listener{Address: "example.com:0", Auth: config.AuthNone}},
		{"AUTH in clear on all addresses", config.Listener{Address: "0.0.0.0:0", AllowInsecureAuth: true}},
		{"auth: peer over TCP", config.Listener{Address: "127.0.0.1:0", Auth: config.AuthPeer}},
	} {
		t.Run(row.why, func(t *testing.T) {
			s := New(Options{Hostname: "x", Limits: testLimits, Listeners: []config.Listener{row.l}})
			if err := s.Start(t.Context()); err == nil {
				t.Error("it was opened")
			}
			s.Close()
		})
	}
}

// TestSafeListener: what the configuration takes for this host alone is opened.
func TestSafeListener(t *testing.T) {
	b := start(t, func(o *Options, _ *bench) { o.Listeners[0].Address = "LOCALHOST:0" })
	b.dial(t).do("EHLO x", "250-")
}

// TestPanic: a panic ends its session with 421, and no other.
func TestPanic(t *testing.T) {
	for _, row := range []struct {
		why string
		set func(*bench)
		act func(*client)
	}{
		{"in a back end of AUTH", func(*bench) {}, func(c *client) {
			c.do("EHLO x", "250-")
			c.send("AUTH PLAIN " + encode("\x00broken\x00x") + "\r\n")
		}},
		{"in the commit", func(b *bench) { b.queue.onCommit = func() { panic("commit") } }, func(c *client) {
			c.login()
			c.begin()
			c.send("x: y\r\n\r\nbody\r\n.\r\n")
		}},
		{"in what EHLO asks", func(b *bench) {
			b.Server.opt.Judge = nil
			b.Server.opt.Authenticator = nil
			b.Server.opt.TLS = panicTLS
		}, func(c *client) {
			c.send("EHLO x\r\n")
		}},
	} {
		t.Run(row.why, func(t *testing.T) {
			var log logBuffer
			b := start(t, func(o *Options, b *bench) { o.Logger = log.logger() })
			other := b.dial(t)
			row.set(b)
			c := b.dial(t)
			row.act(c)
			c.want("421 4.")
			c.closed()
			other.do("NOOP", "250 ")
			if n := len(b.queue.all()); n != 0 {
				t.Errorf("%d messages were accepted", n)
			}
			if text := log.String(); !strings.Contains(text, "panic") || !strings.Contains(text, ".go:") {
				t.Errorf("the log shows no stack: %s", text)
			}
		})
	}
}
