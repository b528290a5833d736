package submission

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// TestWhatADeviceCantDo: the log tells why a device can't send, also where it gives
// up before there is a transaction.
func TestWhatADeviceCantDo(t *testing.T) {
	for _, row := range []struct {
		why, stage, command string
		kind                mail.EventKind
		code                int
	}{
		{"an address without brackets", "login", "MAIL FROM:scanner@example.com", mail.EventRejected, 501},
		{"a parameter nobody offered", "login", "MAIL FROM:<a@example.com> XOORG=x", mail.EventRejected, 555},
		{"a recipient without brackets", "mail", "RCPT TO:b@example.net", mail.EventRejected, 501},
		{"letters that need SMTPUTF8", "mail", "RCPT TO:<\xc3\xa9@example.net>", mail.EventRejected, 553},
		{"no login", "hello", "MAIL FROM:<a@example.com>", mail.EventRejected, 530},
		{"a line without end", "hello", "NOOP " + strings.Repeat("x", 3*inputSize), mail.EventRejected, 500},
		{"a line end that is none", "hello", "NOOP\nNOOP", mail.EventRejected, 500},
		{"a browser", "hello", "GET / HTTP/1.1", mail.EventRejected, 421},
		{"a chunk without its size", "rcpt", "BDAT LAST", mail.EventRejected, 501},
		{"a mechanism nobody has", "hello", "AUTH NTLM", mail.EventAuth, 504},
		{"a password that is not base64", "hello", "AUTH PLAIN secret!", mail.EventAuth, 501},
		{"the same in the middle", "auth", "secret!", mail.EventAuth, 501},
		{"a line too long for AUTH", "auth", strings.Repeat("A", maxAuthLine+4), mail.EventAuth, 500},
		{"a login given up", "auth", "*", mail.EventAuth, 501},
		{"a second login", "login", "AUTH PLAIN", mail.EventAuth, 503},
	} {
		b := start(t, nil)
		c := b.dial(t)
		for _, command := range stages[row.stage] {
			c.send(command + "\r\n")
			c.reply()
		}
		before := len(b.events.of(row.kind))
		c.do(row.command, fmt.Sprint(row.code))
		events := b.events.of(row.kind)[before:]
		if len(events) != 1 || events[0].Reply.Code != row.code || events[0].Host != "client.example" || !events[0].Address.IsValid() {
			t.Errorf("%s: recorded %+v", row.why, events)
		}
	}
}

// TestLoginInClear: a client that does not encrypt first is seen in the log, and what
// it sent is not.
func TestLoginInClear(t *testing.T) {
	b := start(t, func(o *Options, _ *bench) { o.Listeners[0].TLS = config.TLSRequired })
	c := b.dial(t)
	c.do("EHLO client.example", "250-")
	c.do("AUTH PLAIN "+alicePlain, "530 5.7.0 ")
	c.do("AUTH "+alicePlain, "530 5.7.0 ")
	events := b.events.of(mail.EventAuth)
	if len(events) != 2 || events[0].Reply.Code != 530 || events[0].Mechanism != "PLAIN" || events[1].Mechanism != "" {
		t.Errorf("recorded %+v", events)
	}
}

// TestEvents: what is refused is recorded once, with who, from where and why.
func TestEvents(t *testing.T) {
	b := start(t, nil)
	c := b.dial(t)
	c.login()
	c.do("MAIL FROM:<forged@example.com>", "550 5.7.1 ")
	c.do("MAIL FROM:<a@example.com>", "250 ")
	c.do("RCPT TO:<denied@example.net>", "550 5.7.1 ")
	c.do("RCPT TO:<b@example.net>", "250 ")
	c.do("DATA", "354 ")
	c.do("From: forged@example.com\r\n\r\n.", "550 5.7.1 ")
	events := b.events.of(mail.EventRejected)
	if len(events) != 3 {
		t.Fatalf("%d events", len(events))
	}
	for i, to := range []string{"", "denied@example.net", "b@example.net"} {
		e := events[i]
		if e.Identity != "alice" || e.Reply.Code != 550 || e.From == nil || !e.Address.IsValid() || e.Host != "client.example" || e.Listener != "test" {
			t.Errorf("event %d is %+v", i, e)
		}
		if to != "" && (len(e.To) != 1 || e.To[0].String() != to) {
			t.Errorf("event %d is about %v", i, e.To)
		}
	}
	if e := b.events.of(mail.EventConnect); len(e) != 1 || e[0].Listener != "test" || !e[0].Address.IsValid() {
		t.Errorf("connect events: %+v", e)
	}
}
