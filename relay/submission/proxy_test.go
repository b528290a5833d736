package submission

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	proxyproto "github.com/pires/go-proxyproto"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

const proxyV1 = "PROXY TCP4 198.51.100.7 192.0.2.1 4711 587\r\n"

func proxyV2(t *testing.T, command proxyproto.ProtocolVersionAndCommand) string {
	h := proxyproto.Header{
		Version: 2, Command: command, TransportProtocol: proxyproto.TCPv6,
		SourceAddr:      &net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 4711},
		DestinationAddr: &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 587},
	}
	b, err := h.Format()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestProxyProtocol(t *testing.T) {
	trusted := func(o *Options, _ *bench) {
		o.Listeners[0].ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	for _, row := range []struct{ why, header, from string }{
		{"version 1", proxyV1, "198.51.100.7"},
		{"version 2", proxyV2(t, proxyproto.PROXY), "2001:db8::7"},
		{"the proxy's own health check", proxyV2(t, proxyproto.LOCAL), "127.0.0.1"},
	} {
		t.Run(row.why, func(t *testing.T) {
			b := start(t, trusted)
			c := b.connect(t)
			c.send(row.header + "EHLO client.example\r\n") // a proxy sends it with the first octets
			c.want("220 ")
			c.want("250-")
			if e := b.events.of(mail.EventConnect); len(e) != 1 || e[0].Address.Addr().String() != row.from {
				t.Errorf("it comes from %+v, want %s", e, row.from)
			}
		})
	}
	t.Run("the client's address is what counts and is traced", func(t *testing.T) {
		b := start(t, func(o *Options, _ *bench) {
			trusted(o, nil)
			o.Limits.MaxConnectionsPerAddress = 1
		})
		c := b.connect(t)
		c.send(proxyV1)
		c.want("220 ")
		c.do("EHLO client.example", "250-")
		c.secure()
		c.login()
		m := b.submit(t, c, "x: y\r\n\r\n")
		if !strings.HasPrefix(m.content, "Received: from client.example ([198.51.100.7])\r\n") {
			t.Errorf("got %.80q", m.content)
		}
		again := b.connect(t)
		again.send(proxyV1)
		again.want("421 4.7.0 ")
		other := b.connect(t)
		other.send(strings.Replace(proxyV1, "100.7", "100.8", 1))
		other.want("220 ")
	})
	t.Run("a listed proxy must send it", func(t *testing.T) {
		var log logBuffer
		b := start(t, func(o *Options, _ *bench) {
			trusted(o, nil)
			o.Logger = log.logger()
		})
		probe := b.connect(t)
		_ = probe.conn.Close()
		c := b.connect(t)
		c.send("EHLO client.example\r\n")
		c.closed()
		b.Close()
		if text := log.String(); strings.Count(text, "no PROXY header") != 1 || !strings.Contains(text, "remote=127.0.0.1") {
			t.Errorf("logged %q, want one line about who sent something else", text)
		}
	})
	t.Run("a listed proxy has no time to lose", func(t *testing.T) {
		b := start(t, func(o *Options, _ *bench) {
			trusted(o, nil)
			o.Limits.CommandTimeout = 50 * time.Millisecond
		})
		b.connect(t).closed()
	})
	t.Run("from others it is a command, and a wrong one", func(t *testing.T) {
		b := start(t, func(o *Options, _ *bench) {
			o.Listeners[0].ProxyProtocol = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}
		})
		c := b.connect(t)
		c.send(proxyV1)
		c.want("220 ")
		c.want("500 5.5.1 ")
	})
	t.Run("who comes through a proxy is not local", func(t *testing.T) {
		for _, header := range []string{proxyV1, "PROXY UNKNOWN\r\n", proxyV2(t, proxyproto.LOCAL)} {
			b := start(t, func(o *Options, _ *bench) {
				trusted(o, nil)
				o.Listeners[0].Auth = config.AuthNone
			})
			c := b.connect(t)
			c.send(header)
			c.want("220 ")
			c.do("EHLO client.example", "250-")
			c.do("MAIL FROM:<a@example.com>", "530 5.7.0 ")
			c.do("AUTH PLAIN "+alicePlain, "538 5.7.11 ")
		}
	})
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "submission.sock")
	on := func(a config.ListenerAuth) func(*Options, *bench) {
		return func(o *Options, _ *bench) {
			o.Listeners[0].Address, o.Listeners[0].Auth = "unix:"+path, a
		}
	}
	t.Run("auth: peer takes the user of the calling process", func(t *testing.T) {
		b := start(t, on(config.AuthPeer))
		c := b.dial(t)
		c.do("EHLO localhost", "250-")
		m := b.submit(t, c, "x: y\r\n\r\n")
		if id := m.envelope.Identity; id.Name != "root" || id.Mechanism != "peer" || id.Helo != "localhost" {
			t.Errorf("identity is %+v", id)
		}
		if !strings.HasPrefix(m.content, "Received: from localhost (local socket)\r\n") {
			t.Errorf("got %.80q", m.content)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
			t.Errorf("the socket's mode is %v (%v)", info.Mode(), err)
		}
		b.Close()
		if _, err := os.Stat(path); err == nil {
			t.Error("the socket is left behind")
		}
	})
	t.Run("the kernel tells who calls", func(t *testing.T) {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		if p := peerOf(accepted); p == nil || p.UID != os.Getuid() || p.PID != os.Getpid() {
			t.Errorf("got %+v", p)
		}
	})
	t.Run("auth: peer with a user nobody knows", func(t *testing.T) {
		b := start(t, func(o *Options, b *bench) {
			on(config.AuthPeer)(o, b)
			b.auth.peer = mail.Errorf(550, mail.EnhancedCode{5, 7, 1}, "no user of this system")
		})
		c := b.dial(t)
		c.do("EHLO localhost", "250-")
		c.do("MAIL FROM:<a@example.com>", "550 5.7.1 ")
	})
	t.Run("auth: none lends its identity to the group", func(t *testing.T) {
		b := start(t, func(o *Options, b *bench) {
			on(config.AuthNone)(o, b)
			o.Listeners[0].Identity = "cron"
		})
		c := b.dial(t)
		c.do("EHLO localhost", "250-")
		if id := b.submit(t, c, "x: y\r\n\r\n").envelope.Identity; id.Name != "cron" || id.Mechanism != "none" {
			t.Errorf("identity is %+v", id)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
			t.Errorf("the socket's mode is %v (%v)", info.Mode(), err)
		}
	})
	t.Run("a socket that is in use is left alone", func(t *testing.T) {
		b := start(t, on(config.AuthPeer))
		s := New(Options{Hostname: "x", Limits: testLimits, Listeners: []config.Listener{{Address: "unix:" + path, Auth: config.AuthPeer}}})
		if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "in use") {
			t.Errorf("got %v", err)
		}
		b.dial(t)
	})
	t.Run("a socket that could not be asked is left alone", func(t *testing.T) {
		start(t, on(config.AuthPeer))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := removeStale(ctx, path); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	})
	t.Run("a socket whose owner is gone is replaced", func(t *testing.T) {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		_ = l.Close()
		start(t, on(config.AuthPeer)).dial(t)
	})
	t.Run("a file that is no socket is left alone", func(t *testing.T) {
		if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		s := New(Options{Hostname: "x", Limits: testLimits, Listeners: []config.Listener{{Address: "unix:" + path}}})
		if err := s.Start(t.Context()); err == nil {
			t.Error("it was replaced")
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
			t.Errorf("it holds %q (%v)", b, err)
		}
	})
}
