package e2e

import (
	"fmt"
	"net/smtp"
	"slices"
	"strings"
	"testing"
)

// staged starts a relay whose open listener is under one policy, with a sink for
// all mail.
func staged(t *testing.T, policy string) (*daemon, *sink) {
	t.Helper()
	to := newSink(t, "")
	return newDaemon(t, fmt.Sprintf("routes: [{smarthosts: [\"smtp://%s\"], tls: none}]\npolicies:\n  - {name: staging, %s}\n", to.Addr, policy)).start(), to
}

// submit sends a message to a customer and a colleague.
func (d *daemon) submit(header string) error {
	return smtp.SendMail(d.Open, nil, "app@example.com", []string{"customer@example.net", "colleague@example.com"},
		[]byte("From: The App <app@example.com>\r\nTo: customer@example.net\r\n"+header+"\r\nbody\r\n"))
}

// TestCapturedMail is listed, read, deleted and released by an operator, and goes
// nowhere before.
func TestCapturedMail(t *testing.T) {
	d, to := staged(t, "environment: capture")
	for _, subject := range []string{"first", "second"} {
		if err := d.submit("Subject: " + subject + "\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	d.stop()
	d.start() // captured mail stays over a restart
	list := d.queue()
	ids := make(map[string]string)
	for _, e := range list {
		content, errs, code := d.run("queue", "show", "--content", e.ID)
		if code != 0 {
			t.Fatalf("queue show: exit %d\n%s", code, errs)
		}
		for _, subject := range []string{"first", "second"} {
			if strings.Contains(content, "Subject: "+subject+"\r\n") {
				ids[subject] = e.ID
			}
		}
		if e.State != "captured" || e.From != "app@example.com" && e.From != "<app@example.com>" || e.Attempts != 0 {
			t.Errorf("listed as %+v", e)
		}
	}
	if len(ids) != 2 {
		t.Fatalf("captured: %+v", list)
	}
	if out, _, code := d.run("queue", "list", "--state", "captured"); code != 0 || !strings.Contains(out, "customer@example.net") {
		t.Errorf("queue list: exit %d\n%s", code, out)
	}
	for _, command := range [][]string{{"queue", "delete", ids["second"]}, {"queue", "release", ids["first"]}} {
		if out, errs, code := d.run(command...); code != 0 {
			t.Fatalf("%v: exit %d\n%s%s", command, code, out, errs)
		}
	}
	d.waitEmpty()
	arrived := to.messages()
	if len(arrived) != 1 || !strings.Contains(string(arrived[0].Data), "Subject: first\r\n") {
		t.Fatalf("arrived: %q", arrived)
	}
	slices.Sort(arrived[0].To)
	if want := []string{"colleague@example.com", "customer@example.net"}; !slices.Equal(arrived[0].To, want) {
		t.Errorf("released to %q, want %q", arrived[0].To, want)
	}
}

// TestRedirectedMail goes to the testers alone, and says whom it was for.
func TestRedirectedMail(t *testing.T) {
	d, to := staged(t, "environment: redirect, redirect_to: [qa@example.com]")
	if err := d.submit("Subject: x\r\n"); err != nil {
		t.Fatal(err)
	}
	d.waitEmpty()
	arrived := to.messages()
	if len(arrived) != 1 || !slices.Equal(arrived[0].To, []string{"qa@example.com"}) {
		t.Fatalf("arrived: %q", arrived)
	}
	for _, rcpt := range []string{"customer@example.net", "colleague@example.com"} {
		if !strings.Contains(string(arrived[0].Data), "\r\nX-Original-To: "+rcpt+"\r\n") {
			t.Errorf("it does not say that it was for %s:\n%s", rcpt, arrived[0].Data)
		}
	}
}

// TestAllowlist refuses the customer with a text that says why, and takes the
// colleague.
func TestAllowlist(t *testing.T) {
	d, to := staged(t, "environment: allowlist, recipients: {allow: [\"*@example.com\"]}")
	c := dial(t, d.Open)
	c.expect("220")
	c.ask("EHLO app.example.com", "250")
	c.ask("MAIL FROM:<app@example.com>", "250")
	if r := c.ask("RCPT TO:<customer@example.net>", "550 5.7.1"); !strings.Contains(r, `"staging"`) || !strings.Contains(r, "*@example.com") {
		t.Errorf("the refusal does not name rule and what is allowed: %s", r)
	}
	c.ask("RCPT TO:<colleague@example.com>", "250")
	c.ask("DATA", "354")
	c.ask("Subject: x\r\n\r\nbody\r\n.", "250")
	d.waitEmpty()
	if arrived := to.messages(); len(arrived) != 1 || !slices.Equal(arrived[0].To, []string{"colleague@example.com"}) {
		t.Errorf("arrived: %q", arrived)
	}
}

// TestRewrittenMail has a fixed reverse-path and From, and answers still reach the
// author.
func TestRewrittenMail(t *testing.T) {
	for _, row := range []struct{ why, header, replyTo string }{
		{"the author becomes Reply-To", "", "The App <app@example.com>"},
		{"a Reply-To that is there stays", "Reply-To: help@example.com\r\n", "help@example.com"},
	} {
		t.Run(row.why, func(t *testing.T) {
			d, to := staged(t, "rewrite: {reverse_path: bounces@example.com, from: no-reply@example.com}")
			if err := d.submit(row.header); err != nil {
				t.Fatal(err)
			}
			d.waitEmpty()
			arrived := to.messages()
			if len(arrived) != 1 {
				t.Fatalf("arrived: %q", arrived)
			}
			content := string(arrived[0].Data)
			if arrived[0].From != "bounces@example.com" || strings.Count(content, "Reply-To: ") != 1 ||
				!strings.Contains(content, "\r\nFrom: The App <no-reply@example.com>\r\n") ||
				!strings.Contains(content, "\r\nReply-To: "+row.replyTo+"\r\n") {
				t.Errorf("from <%s>:\n%s", arrived[0].From, content)
			}
		})
	}
}
