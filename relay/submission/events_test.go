package submission

import (
	"fmt"
	"strings"
	"testing"

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
