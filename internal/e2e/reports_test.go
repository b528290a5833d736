package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/smtptest"
)

// TestDSNParameters: NOTIFY, RET, ENVID and ORCPT go on to a host that knows
// them; where the next hop doesn't, this relay reports.
func TestDSNParameters(t *testing.T) {
	world := newInternet(t)
	sender := world.mailbox("sender.test")
	world.DNS.Set("knows.test", "MX 10 mx.knows.test")
	knows := world.host("mx.knows.test", smtptest.Script{Keywords: []string{"DSN"}})
	world.DNS.Set("ignorant.test", "MX 10 mx.ignorant.test")
	refused := smtptest.ByPath(map[string]string{"nobody@ignorant.test": "550 5.1.1 no such user", "silent@ignorant.test": "550 5.1.1 no such user"})
	world.host("mx.ignorant.test", smtptest.Script{On: map[smtptest.Step]smtptest.Actor{smtptest.Rcpt: refused}})
	d := newDaemon(t, world.config()+"delivery: {port: "+world.port+"}\n")
	d.start()
	d.accept(letter{
		From: "<app@sender.test> RET=HDRS ENVID=order-17",
		To: []string{
			"<user@knows.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first@knows.test",
			"<relayed@ignorant.test> NOTIFY=SUCCESS",
			"<nobody@ignorant.test> NOTIFY=FAILURE ORCPT=rfc822;first@ignorant.test",
			"<silent@ignorant.test> NOTIFY=NEVER",
		},
		Content: "Subject: the subject\r\n\r\nthe secret body\r\n",
	})
	d.waitEmpty()
	m := knows.Await(t, 1)[0]
	if !strings.Contains(m.Mail, "RET=HDRS") || !strings.Contains(m.Mail, "ENVID=order-17") {
		t.Errorf("passed on: %s", m.Mail)
	}
	if !strings.Contains(m.Rcpt[0], "NOTIFY=SUCCESS,FAILURE") || !strings.Contains(m.Rcpt[0], "ORCPT=rfc822;first@knows.test") {
		t.Errorf("passed on: %s", m.Rcpt[0])
	}
	all := ""
	for _, r := range sender.Await(t, 2) {
		text := string(r.Content)
		all += text
		if r.From != "" || !strings.Contains(text, "Original-Envelope-Id: order-17") || !strings.Contains(text, "Subject: the subject") || strings.Contains(text, "the secret body") {
			t.Errorf("from <%s>, ENVID or RET not honoured:\n%s", r.From, text)
		}
	}
	for _, want := range []string{"Action: relayed", "relayed@ignorant.test", "Action: failed", "Original-Recipient: rfc822; first@ignorant.test"} {
		if !strings.Contains(all, want) {
			t.Errorf("no report has %q", want)
		}
	}
	if strings.Contains(all, "silent@") || strings.Contains(all, "user@knows.test") {
		t.Error("a report is about somebody nobody asked about")
	}
}

// TestDelayAndExpiry: the sender hears of a delay once, and gets the mail back
// when its time is over.
func TestDelayAndExpiry(t *testing.T) {
	world := newInternet(t)
	sender := world.mailbox("sender.test")
	world.DNS.Set("greylists.test", "MX 10 mx.greylists.test")
	world.host("mx.greylists.test", smtptest.Script{On: map[smtptest.Step]smtptest.Actor{smtptest.Rcpt: smtptest.Say("450 4.2.0 for ever greylisted")}})
	world.DNS.Set("dead.test", "MX 10 mx.dead.test")
	world.absent("mx.dead.test")
	d := newDaemon(t, world.config()+"delivery: {port: "+world.port+"}\nretry: {intervals: [1s], warn_after: 2s, lifetime: 6s}\n")
	d.start()
	for _, to := range []string{"user@greylists.test", "user@dead.test"} {
		d.accept(letter{From: "<app@sender.test>", To: []string{"<" + to + ">"}})
	}
	d.await("expired", "user@greylists.test", 1)
	d.await("expired", "user@dead.test", 1)
	d.waitEmpty()
	var kinds []string
	for _, r := range sender.Await(t, 4) {
		text := string(r.Content)
		for _, action := range []string{"delayed", "failed"} {
			if strings.Contains(text, "Action: "+action) {
				kinds = append(kinds, action)
			}
		}
	}
	if all := strings.Join(kinds, " "); strings.Count(all, "delayed") != 2 || strings.Count(all, "failed") != 2 || len(kinds) != 4 {
		t.Errorf("reports: %s", all)
	}
}

// TestBounceIsNeverBounced: a report that nobody takes is kept for the operator.
func TestBounceIsNeverBounced(t *testing.T) {
	world := newInternet(t)
	for _, domain := range []string{"sender.test", "example.test"} {
		world.DNS.Set(domain, "MX 10 mx."+domain)
		world.host("mx."+domain, smtptest.Script{On: map[smtptest.Step]smtptest.Actor{smtptest.Rcpt: smtptest.Say("550 5.1.1 no such user")}})
	}
	d := newDaemon(t, world.config()+"delivery: {port: "+world.port+"}\n")
	d.start()
	d.accept(letter{From: "<gone@sender.test>", To: []string{"<user@example.test>"}})
	d.await("dead", "gone@sender.test", 1)
	list := d.queue()
	if len(list) != 1 || list[0].State != "dead" || list[0].From != "<>" || !strings.Contains(list[0].To[0].Reason, "no such user") {
		t.Errorf("the queue: %+v", list)
	}
}

// TestAddressesOfAllKinds: literals, IPv6 and internationalised domains arrive.
func TestAddressesOfAllKinds(t *testing.T) {
	world := newInternet(t)
	utf8 := []string{"SMTPUTF8", "8BITMIME"}
	world.DNS.Set("xn--bcher-kva.test", "MX 10 mx.xn--bcher-kva.test")
	idn := world.host("mx.xn--bcher-kva.test", smtptest.Script{Keywords: utf8})
	world.DNS.Set("six.test", "MX 10 mx.six.test")
	world.DNS.Set("mx.six.test", "AAAA ::1")
	six := smtptest.StartAt(t, "[::1]:"+world.port, smtptest.Script{})
	literal := world.host("literal.invalid.test", smtptest.Script{})
	world.DNS.Set("both.test", "MX 10 mx.both.test")
	both := world.host("mx.both.test", smtptest.Script{})
	world.DNS.Set("mx.both.test", "A "+both.Addr().Addr().String(), "AAAA 100::1") // no route there
	d := newDaemon(t, world.config()+"delivery: {port: "+world.port+", address_literals: true}\n")
	d.start()
	for _, row := range []struct {
		to   string
		at   *smtptest.Peer
		want string
		why  string
	}{
		{"user@bücher.test", idn, "user@xn--bcher-kva.test", "the domain's A-label is looked up; an ASCII address needs no SMTPUTF8"},
		{"üser@bücher.test", idn, "üser@xn--bcher-kva.test", "an internationalised local part goes to a host that knows SMTPUTF8"},
		{"user@six.test", six, "user@six.test", "a host with IPv6 only"},
		{"user@both.test", both, "user@both.test", "a host whose IPv6 address can't be reached"},
		{fmt.Sprintf("user@[%s]", literal.Addr().Addr()), literal, fmt.Sprintf("user@[%s]", literal.Addr().Addr()), "an IPv4 literal"},
		{"user@[IPv6:::1]", six, "user@[IPv6:::1]", "an IPv6 literal"},
	} {
		before := len(row.at.Messages())
		d.accept(letter{From: "<app@sender.test> SMTPUTF8", To: []string{"<" + row.to + ">"}})
		d.waitEmpty()
		got := row.at.Messages()[before:]
		if len(got) != 1 || !strings.EqualFold(got[0].To[0], row.want) {
			t.Errorf("%s: %s arrived as %+v, want %s", row.why, row.to, got, row.want)
		}
	}
}
