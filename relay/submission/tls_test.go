package submission

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
)

// TestCommandsBehindStartTLS: what was sent in clear behind STARTTLS is thrown
// away, whether the handshake succeeds or not.
func TestCommandsBehindStartTLS(t *testing.T) {
	injected := "EHLO evil\r\nAUTH PLAIN " + alicePlain + "\r\nMAIL FROM:<a@example.com>\r\n"
	t.Run("and the handshake succeeds", func(t *testing.T) {
		c := start(t, nil).dial(t)
		c.do("EHLO x", "250-")
		c.send("STARTTLS\r\n" + injected)
		c.want("220 2.0.0 ")
		if n := c.r.Buffered(); n != 0 {
			t.Fatalf("%d octets came in clear behind the answer", n)
		}
		c.encrypt()
		c.do("MAIL FROM:<a@example.com>", "503 5.5.1 ") // not even EHLO was said
	})
	t.Run("and there is no handshake", func(t *testing.T) {
		b := start(t, nil)
		c := b.dial(t)
		c.do("EHLO x", "250-")
		c.do("STARTTLS", "220 2.0.0 ")
		c.send(injected)
		if line, err := c.r.ReadString('\n'); err == nil && !strings.HasPrefix(line, "\x15") { // a TLS alert may come
			t.Fatalf("got %q, want the connection closed", line)
		}
	})
}

// TestFailedHandshakes: the log says why a device can't come in, and is silent
// about a probe that only looks whether the port is open.
func TestFailedHandshakes(t *testing.T) {
	var log logBuffer
	ended := make(chan error, 3)
	b := start(t, func(o *Options, _ *bench) {
		o.Logger, o.Listeners[0].TLS = log.logger(), config.TLSImplicit
		o.Handshake = func(err error) { ended <- err }
	})
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", b.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	dial().Close()
	reasons := []string{"unsupported versions", "remote error: tls: bad certificate"}
	for _, c := range []struct {
		why  string
		conf *tls.Config
	}{
		{"a device that only speaks TLS 1.1", &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}},
		{"a client that checks certificates", &tls.Config{ServerName: "relay.example.com", RootCAs: x509.NewCertPool()}},
	} {
		conn := dial()
		if err := tls.Client(conn, c.conf).Handshake(); err == nil {
			t.Fatalf("%s: the handshake succeeded", c.why)
		}
		conn.Close()
	}
	for range cap(ended) { // so that all has been logged
		<-ended
	}
	text := log.String()
	for _, want := range reasons {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the log:\n%s", want, text)
		}
	}
	if n := strings.Count(text, "TLS handshake failed"); n != 2 {
		t.Errorf("%d failures logged, want 2:\n%s", n, text)
	}
}

// TestStartTLSForgets: what was learned in clear is learned anew.
func TestStartTLSForgets(t *testing.T) {
	b := start(t, nil)
	c := b.dial(t)
	c.login()
	c.do("MAIL FROM:<a@example.com>", "250 ")
	c.secure()
	c.do("RCPT TO:<b@example.net>", "503 5.5.1 ")
	c.do("EHLO x", "250-")
	c.do("MAIL FROM:<a@example.com>", "530 5.7.0 ")
	c.do("STARTTLS", "503 5.5.1 ")
	c.do("AUTH PLAIN "+alicePlain, "235 ") // not "already authenticated"
	c.begin()
	c.do("x: y\r\n\r\nbody\r\n.", "250 2.0.0 queued")
	c.do("QUIT", "221 ")
	c.closed()
	if id := b.queue.all()[0].envelope.Identity; id.TLS != "TLSv1.3" || id.Name != "alice" || id.Listener != "test" || id.Helo != "x" || !id.Remote.IsValid() {
		t.Errorf("identity is %+v", id)
	}
}

func TestImplicitTLS(t *testing.T) {
	b := start(t, func(o *Options, _ *bench) {
		o.Listeners[0].TLS, o.Listeners[0].AllowInsecureAuth = config.TLSImplicit, false
	})
	c := b.connect(t)
	c.encrypt()
	c.want("220 ")
	if r := c.do("EHLO x", "250-"); strings.Contains(r, "STARTTLS") {
		t.Error("STARTTLS is offered under TLS")
	}
	c.login()
	c.do("MAIL FROM:<a@example.com> REQUIRETLS", "250 ")
	c.do("RCPT TO:<b@example.net>", "250 ")
	c.do("DATA", "354 ")
	c.do("x: y\r\n\r\nbody\r\n.", "250 2.0.0 queued")
	if e := b.queue.all()[0].envelope; !e.RequireTLS {
		t.Error("REQUIRETLS was lost")
	}
	t.Run("a client that speaks in clear gets no answer", func(t *testing.T) {
		c := b.connect(t)
		c.send("EHLO x\r\n")
		if line, err := c.r.ReadString('\n'); err == nil && strings.HasPrefix(line, "220") {
			t.Fatalf("got %q", line)
		}
	})
	t.Run("a pipelined session under TLS", func(t *testing.T) {
		c := b.connect(t)
		c.encrypt()
		c.want("220 ")
		c.login()
		c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n")
		c.want("250 ")
		c.want("250 ")
		c.want("354 ")
		c.send("x: y\r\n\r\n" + strings.Repeat("0123456789\r\n", 20_000) + ".\r\nQUIT\r\n")
		c.want("250 ")
		c.want("221 ")
		c.closed()
	})
}

// TestCertificateReload: the next handshake shows the new certificate.
func TestCertificateReload(t *testing.T) {
	var current atomic.Pointer[tls.Config]
	current.Store(testTLS)
	b := start(t, func(o *Options, _ *bench) { o.TLS = func() *tls.Config { return current.Load() } })
	serial := func() string {
		c := b.dial(t)
		c.do("EHLO x", "250-")
		c.secure()
		return string(c.conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Raw)
	}
	before := serial()
	current.Store(newTestTLS(2))
	if serial() == before {
		t.Error("the old certificate is still shown")
	}
	current.Store(nil)
	c := b.dial(t)
	if r := c.do("EHLO x", "250-"); strings.Contains(r, "STARTTLS") {
		t.Error("STARTTLS is offered without a certificate")
	}
	c.do("STARTTLS", "454 4.7.0 ")
	c.do("NOOP", "250 ")
}

// TestHandshakeTimeout: a client that never begins its handshake has to go.
func TestHandshakeTimeout(t *testing.T) {
	b := start(t, func(o *Options, _ *bench) {
		o.Listeners[0].TLS = config.TLSImplicit
		o.Limits.CommandTimeout = 50 * time.Millisecond
	})
	b.connect(t).closed()
}

// TestHandshakes: each is counted, with how it ended, and a back end is told the
// certificate that was shown, for channel binding.
func TestHandshakes(t *testing.T) {
	ended := make(chan error, 1)
	b := start(t, func(o *Options, _ *bench) { o.Handshake = func(err error) { ended <- err } })
	c := b.dial(t)
	c.do("EHLO x", "250-")
	c.secure()
	if err := <-ended; err != nil {
		t.Errorf("a handshake that succeeded ended with %v", err)
	}
	c.do("EHLO x", "250-")
	if got := b.auth.client.Load().Certificate; !bytes.Equal(got, testTLS.Certificates[0].Certificate[0]) {
		t.Errorf("the back end was told of a certificate of %d octets", len(got))
	}
	broken := b.dial(t)
	broken.do("EHLO x", "250-")
	broken.do("STARTTLS", "220 ")
	broken.send("this is no handshake\r\n")
	if err := <-ended; err == nil {
		t.Error("a handshake that failed ended with no error")
	}
}
