package smtptest_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/smtp"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/postrider/postrider/internal/smtptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestWithAnIndependentClient: the standard library's client gets along with a
// peer: STARTTLS with the authority's certificate, AUTH, DATA.
func TestWithAnIndependentClient(t *testing.T) {
	ca := smtptest.NewAuthority(t)
	p := smtptest.Start(t, smtptest.Script{
		Keywords: []string{"8BITMIME"}, TLS: ca.Server(t, "127.0.0.1"), Users: map[string]string{"u": "p"},
	})
	c, err := smtp.Dial(p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.StartTLS(&tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Auth(smtp.PlainAuth("", "u", "p", "127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []error{c.Mail("a@example.org"), c.Rcpt("b@example.net"), c.Rcpt("c@example.net")} {
		if step != nil {
			t.Fatal(step)
		}
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("Subject: x\r\n\r\n.dot\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	m := p.Await(t, 1)[0]
	if string(m.Content) != "Subject: x\r\n\r\n.dot\r\n" || m.From != "a@example.org" || len(m.To) != 2 {
		t.Errorf("message: %+v", m)
	}
	if s := p.AwaitEnded(t, 1)[0]; !s.TLS || !s.Quit || s.User != "u" || s.Mechanism != "PLAIN" || !bytes.Contains(s.Received, []byte("\r\n..dot\r\n.\r\nQUIT\r\n")) {
		t.Errorf("session: %+v", s)
	}
}

// TestScript: replies, raw text, silence and the end of the connection come where
// the script has them.
func TestScript(t *testing.T) {
	p := smtptest.Start(t, smtptest.Script{On: map[smtptest.Step]smtptest.Actor{
		smtptest.Mail: smtptest.InTurn(smtptest.Action{Reply: "451-a\n451 b"}, smtptest.Action{}),
		smtptest.Rcpt: smtptest.ByPath(map[string]string{"no@example.net": "550 5.1.1 no"}),
		smtptest.Data: smtptest.Do(smtptest.Action{Raw: "garbage\r\n", Close: true}),
	}})
	c, err := textproto.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, row := range []struct{ say, hear string }{
		{"", "220 "}, {"EHLO x", "250 peer.test"}, {"MAIL FROM:<a@b.c>", "451-a"}, {"", "451 b"},
		{"MAIL FROM:<a@b.c>", "250 "}, {"RCPT TO:<NO@example.net>", "550 5.1.1 no"}, {"RCPT TO:<yes@example.net>", "250 "},
		{"NONSENSE", "500 "}, {"DATA", "garbage"},
	} {
		if row.say != "" {
			if err := c.PrintfLine("%s", row.say); err != nil {
				t.Fatal(err)
			}
		}
		if line, err := c.ReadLine(); err != nil || !strings.HasPrefix(line, row.hear) {
			t.Fatalf("after %q: %q, %v", row.say, line, err)
		}
	}
	if line, err := c.ReadLine(); err == nil {
		t.Errorf("the connection goes on: %q", line)
	}
	if n := p.Steps(smtptest.Mail); n != 2 {
		t.Errorf("%d MAIL", n)
	}
}

// TestDistance: a question and its answer take one round trip, however many
// octets they have.
func TestDistance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rtt = 50 * time.Millisecond
		p := smtptest.New(smtptest.Script{})
		defer p.Close()
		near, far := net.Pipe()
		go p.Serve(far)
		conn := smtptest.Distant(near, rtt)
		defer conn.Close()
		start := time.Now()
		c := textproto.NewConn(conn)
		if _, err := c.ReadLine(); err != nil || time.Since(start) != rtt/2 {
			t.Errorf("greeting after %v: %v", time.Since(start), err)
		}
		start = time.Now()
		c.PrintfLine("EHLO %s", strings.Repeat("x", 10_000))
		if _, err := c.ReadLine(); err != nil || time.Since(start) != rtt {
			t.Errorf("answer after %v: %v", time.Since(start), err)
		}
	})
}

// TestProxy is distance on real sockets.
func TestProxy(t *testing.T) {
	const rtt = 40 * time.Millisecond
	p := smtptest.Start(t, smtptest.Script{})
	start := time.Now()
	c, err := smtp.Dial(smtptest.Proxy(t, p.Addr().String(), rtt).String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Hello("x"); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took < rtt*3/2 {
		t.Errorf("greeting and EHLO took %v", took)
	}
	c.Close()
	p.AwaitEnded(t, 1)
}
