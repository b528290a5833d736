package submission

import (
	"crypto/tls"
	netsmtp "net/smtp"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/postrider/postrider/internal/config"
)

const clientMessage = "Subject: x\r\nFrom: a@example.com\r\n\r\n.dots\r\nand \xe9\r\n"

// checkClientMessage wants what a client sent, once, from alice.
func checkClientMessage(t *testing.T, b *bench) {
	t.Helper()
	m := b.queue.all()
	if len(m) != 1 || m[0].body() != ".dots\r\nand \xe9\r\n" || m[0].envelope.Identity.Name != "alice" ||
		m[0].envelope.From.String() != "<a@example.com>" || len(m[0].envelope.Recipients) != 2 {
		t.Errorf("queued: %+v", m)
	}
}

// TestNetSMTP is Go's own client, with STARTTLS and PLAIN.
func TestNetSMTP(t *testing.T) {
	b := start(t, func(o *Options, _ *bench) {
		o.Listeners[0].TLS, o.Listeners[0].AllowInsecureAuth = config.TLSRequired, false
	})
	c, err := netsmtp.Dial(b.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.Hello("client.example"))
	must(c.StartTLS(&tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}))
	must(c.Auth(netsmtp.PlainAuth("", "alice", "secret", "127.0.0.1")))
	must(c.Mail("a@example.com"))
	must(c.Rcpt("b@example.net"))
	must(c.Rcpt("c@example.net"))
	w, err := c.Data()
	must(err)
	_, err = w.Write([]byte(clientMessage))
	must(err)
	must(w.Close())
	must(c.Quit())
	checkClientMessage(t, b)
}

// TestGoSMTPClient is go-smtp's client, with implicit TLS and LOGIN.
func TestGoSMTPClient(t *testing.T) {
	b := start(t, func(o *Options, _ *bench) { o.Listeners[0].TLS = config.TLSImplicit })
	c, err := smtp.DialTLS(b.Addrs()[0].String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Auth(sasl.NewLoginClient("alice", "secret")); err != nil {
		t.Fatal(err)
	}
	if err := c.SendMail("a@example.com", []string{"b@example.net", "c@example.net"}, strings.NewReader(clientMessage)); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	checkClientMessage(t, b)
}
