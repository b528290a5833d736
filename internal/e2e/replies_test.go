package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/smtptest"
)

// replies is protocol.md's table as the owner of a mailbox sees it: what the first
// MX host says at a step, once, and what becomes of the mail.
var replies = []struct {
	name   string
	at     smtptest.Step
	says   smtptest.Action
	second bool   // there is a second MX host, which takes everything
	fate   string // delivered, deferred (and delivered by a later attempt), bounced
	by     int    // the host that has the mail at the end
}{
	{"all is well", smtptest.Connect, smtptest.Action{}, true, "delivered", 1},
	{"the greeting of a full host, the next one is tried", smtptest.Connect, reply("421 4.3.2 too busy"), true, "delivered", 2},
	{"the greeting of a full host", smtptest.Connect, reply("421 4.3.2 too busy"), false, "deferred", 1},
	{"no service, the next one is tried", smtptest.Connect, reply("554 5.3.2 no mail here"), true, "delivered", 2},
	{"no service", smtptest.Connect, reply("521 5.3.2 no mail here"), false, "bounced", 0},
	{"closed without a greeting", smtptest.Connect, smtptest.Action{Close: true}, true, "delivered", 2},
	{"no SMTP server at all", smtptest.Connect, reply("HTTP/1.1 400 Bad Request"), true, "delivered", 2},
	{"EHLO unknown, HELO will do", smtptest.EHLO, reply("502 5.5.1 what"), true, "delivered", 1},
	{"EHLO refused for now", smtptest.EHLO, reply("450 4.3.2 not now"), false, "deferred", 1},
	{"closed at EHLO", smtptest.EHLO, smtptest.Action{Close: true}, true, "delivered", 2},
	{"MAIL refused for now, the next one is tried", smtptest.Mail, reply("451 4.3.0 trouble"), true, "delivered", 2},
	{"MAIL refused for now", smtptest.Mail, reply("451 4.3.0 trouble"), false, "deferred", 1},
	{"421 at MAIL is for all", smtptest.Mail, reply("421 4.3.2 closing"), true, "deferred", 1},
	{"MAIL refused for good", smtptest.Mail, reply("550 5.7.1 we don't like you"), true, "bounced", 0},
	{"MAIL not understood", smtptest.Mail, reply("501 5.5.4 what"), true, "bounced", 0},
	{"530 of an MX host", smtptest.Mail, reply("530 5.7.0 log in first"), true, "bounced", 0},
	{"greylisted", smtptest.Rcpt, reply("450 4.7.1 come back"), true, "deferred", 1},
	{"452 to the only recipient", smtptest.Rcpt, reply("452 4.2.2 mailbox full"), true, "deferred", 1},
	{"421 at RCPT", smtptest.Rcpt, reply("421 4.3.2 closing"), true, "deferred", 1},
	{"no mailbox", smtptest.Rcpt, reply("550 5.1.1 no such user"), true, "bounced", 0},
	{"moved", smtptest.Rcpt, reply("551 5.1.6 try other@example.net"), true, "bounced", 0},
	{"mailbox full for good", smtptest.Rcpt, reply("552 5.2.2 over quota"), true, "bounced", 0},
	{"not local, will forward", smtptest.Rcpt, reply("251 2.1.5 will forward"), true, "delivered", 1},
	{"can't verify, will try", smtptest.Rcpt, reply("252 2.1.5 will try"), true, "delivered", 1},
	{"closed at RCPT", smtptest.Rcpt, smtptest.Action{Close: true}, true, "deferred", 1},
	{"DATA refused for now", smtptest.Data, reply("451 4.3.0 trouble"), true, "deferred", 1},
	{"DATA refused for good", smtptest.Data, reply("554 5.6.0 no"), true, "bounced", 0},
	{"content refused for now", smtptest.Content, reply("452 4.3.1 disk full"), true, "deferred", 1},
	{"content refused for good", smtptest.Content, reply("554 5.7.1 spam"), true, "bounced", 0},
	{"content too large", smtptest.Content, reply("552 5.3.4 too big"), true, "bounced", 0},
	{"421 after the content", smtptest.Content, reply("421 4.3.2 closing"), true, "deferred", 1},
	{"in doubt: closed after the content, asked again at the same host", smtptest.Content, smtptest.Action{Close: true}, true, "deferred", 1},
	{"an unknown 4yz", smtptest.Rcpt, reply("499 4.9.9 mysterious"), true, "deferred", 1},
	{"an unknown 5yz", smtptest.Rcpt, reply("599 5.9.9 mysterious"), true, "bounced", 0},
}

func reply(text string) smtptest.Action { return smtptest.Action{Reply: text} }

// TestReplies relays one message for each row, all at once.
func TestReplies(t *testing.T) {
	world := newInternet(t)
	bounces := world.mailbox("sender.test")
	hosts := make([][2]*smtptest.Peer, len(replies))
	d := newDaemon(t, world.config()+"delivery: {port: "+world.port+"}\nretry: {intervals: [1s]}\n")
	d.start()
	for i, row := range replies {
		domain := fmt.Sprintf("row%d.test", i)
		mx := []string{"MX 10 mx1." + domain}
		script := smtptest.Script{On: map[smtptest.Step]smtptest.Actor{row.at: smtptest.InTurn(row.says)}}
		hosts[i][0] = world.host("mx1."+domain, script)
		if row.second {
			mx = append(mx, "MX 20 mx2."+domain)
			hosts[i][1] = world.host("mx2."+domain, smtptest.Script{})
		}
		world.DNS.Set(domain, mx...)
		d.accept(letter{From: "<app@sender.test>", To: []string{"<user@" + domain + ">"}})
	}
	d.waitEmpty()
	time.Sleep(2500 * time.Millisecond) // two more intervals, in which nothing may happen
	failed := 0
	for i, row := range replies {
		t.Run(row.name, func(t *testing.T) {
			address := fmt.Sprintf("user@row%d.test", i)
			delivered, deferred, bounced := len(d.about("delivered", address)), d.about("deferred", address), d.about("bounced", address)
			got := fmt.Sprintf("%d delivered, %d deferred, %d bounced", delivered, len(deferred), len(bounced))
			want := map[string]string{
				"delivered": "1 delivered, 0 deferred, 0 bounced",
				"deferred":  "1 delivered, 1 deferred, 0 bounced",
				"bounced":   "0 delivered, 0 deferred, 1 bounced",
			}[row.fate]
			if got != want {
				t.Errorf("events: %s, want %s", got, want)
			}
			for n, host := range hosts[i] {
				if host == nil {
					continue
				}
				want := 0
				if n+1 == row.by {
					want = 1
				}
				if got := len(host.Messages()); got != want {
					t.Errorf("host %d has %d messages, want %d", n+1, got, want)
				}
				if n == 1 && row.by < 2 && len(host.Sessions()) > 0 {
					t.Error("the second host was asked")
				}
			}
			for _, e := range append(deferred, bounced...) {
				if row.says.Reply != "" && !strings.Contains(fmt.Sprint(e["code"], e["reply"], e["error"]), row.says.Reply[:3]) {
					t.Errorf("the event does not tell the reply: %v", e)
				}
			}
			if row.fate != "bounced" {
				return
			}
			failed++
			reports := 0
			for _, m := range bounces.Messages() {
				if strings.Contains(string(m.Content), "Final-Recipient: rfc822; "+address) || strings.Contains(string(m.Content), "Final-Recipient: rfc822;"+address) {
					reports++
					if m.From != "" || m.To[0] != "app@sender.test" || !strings.Contains(string(m.Content), strings.Fields(row.says.Reply)[1]) {
						t.Errorf("the report is from <%s> to %s:\n%s", m.From, m.To, m.Content)
					}
				}
			}
			if reports != 1 {
				t.Errorf("the sender got %d reports", reports)
			}
		})
	}
	if got := len(bounces.Messages()); got != failed {
		t.Errorf("the sender got %d messages, %d were bounced", got, failed)
	}
}

// TestEachRecipientIsItsOwn: one message is at once delivered, deferred and
// bounced, and the too many are sent in a further transaction without delay.
func TestEachRecipientIsItsOwn(t *testing.T) {
	world := newInternet(t)
	bounces := world.mailbox("sender.test")
	world.DNS.Set("example.test", "MX 10 mx.example.test")
	first := true
	mx := world.host("mx.example.test", smtptest.Script{Keywords: []string{"PIPELINING"}, On: map[smtptest.Step]smtptest.Actor{
		smtptest.Rcpt: func(c smtptest.Command) smtptest.Action {
			switch {
			case c.Path == "nobody@example.test":
				return reply("550 5.1.1 no such user")
			case c.Path == "later@example.test" && first:
				first = false
				return reply("450 4.2.0 not yet")
			case c.Recipients >= 3:
				return reply("452 4.5.3 too many recipients")
			}
			return smtptest.Action{}
		},
	}})
	d := newDaemon(t, world.config()+"delivery: {port: "+world.port+"}\nretry: {intervals: [2s]}\n")
	d.start()
	to := []string{"<nobody@example.test>", "<later@example.test>"}
	for i := range 7 {
		to = append(to, fmt.Sprintf("<user%d@example.test>", i))
	}
	d.accept(letter{From: "<app@sender.test>", To: to})
	d.waitEmpty()
	var sizes []int
	for _, m := range mx.Messages() {
		sizes = append(sizes, len(m.To))
	}
	if fmt.Sprint(sizes) != "[3 3 1 1]" {
		t.Errorf("transactions of %v recipients, want three, three, one and the deferred one", sizes)
	}
	if n := len(d.about("deferred", "user")); n > 0 {
		t.Errorf("%d of the too many were deferred", n)
	}
	if len(d.about("deferred", "later@")) != 1 || len(d.about("bounced", "nobody@")) != 1 || len(d.about("delivered", "later@")) != 1 {
		t.Errorf("events:\n%s", d.log)
	}
	reports := bounces.Await(t, 1)
	if text := string(reports[0].Content); len(reports) != 1 || !strings.Contains(text, "nobody@example.test") || strings.Contains(text, "later@example.test") {
		t.Errorf("%d reports, the first:\n%s", len(reports), text)
	}
}
