package submission

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
	"github.com/postrider/postrider/queue"
)

var update = flag.Bool("update", false, "write golden files anew")

// golden compares got with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

var (
	dateOf  = regexp.MustCompile(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d [+-]\d{4}`)
	traceOf = regexp.MustCompile(`^Received: from [^;]*;\r\n\t<date>\r\n`)
)

// fixed makes content independent of when it was taken.
func fixed(content string) string { return dateOf.ReplaceAllString(content, "<date>") }

// submit sends content and returns the message as it was queued.
func (b *bench) submit(t *testing.T, c *client, content string) message {
	t.Helper()
	c.begin()
	c.send(stuff(content))
	c.want("250 2.0.0 queued")
	m := b.queue.all()
	return m[len(m)-1]
}

// TestHeader has one row for each thing done, or not done, to a header. What is
// wanted is shown without the trace field.
func TestHeader(t *testing.T) {
	const date = "Date: Sun, 01 Jan 2023 00:00:00 +0000\r\n"
	const id = "Message-ID: <1@x.example>\r\n"
	const newDate = "Date: <date>\r\n"
	const newID = "Message-ID: <01JD0000000000000000000000@relay.example.com>\r\n"
	for _, row := range []struct{ why, content, want string }{
		{"complete: nothing changes", date + id + "Subject: x\r\n\r\nbody\r\n", "Date: <date>\r\n" + id + "Subject: x\r\n\r\nbody\r\n"},
		{"Date and Message-ID are added at the end", "Subject: x\r\n\r\nbody\r\n", "Subject: x\r\n" + newDate + newID + "\r\nbody\r\n"},
		{"names in any case", "DATE: " + date[6:] + "message-id: <1@x.example>\r\n\r\nbody\r\n", "DATE: <date>\r\nmessage-id: <1@x.example>\r\n\r\nbody\r\n"},
		{"white space before the colon", "Date : x\r\nMessage-ID\t: <2@x>\r\n\r\n", "Date : x\r\nMessage-ID\t: <2@x>\r\n\r\n"},
		{"a name that only begins like one", date + id + "Bccx: a\r\nXBcc: b\r\n\r\n", "Date: <date>\r\n" + id + "Bccx: a\r\nXBcc: b\r\n\r\n"},
		{"Bcc goes", date + id + "Bcc: a@x\r\nTo: b@x\r\n\r\n", "Date: <date>\r\n" + id + "To: b@x\r\n\r\n"},
		{"Bcc goes with its continuation", date + id + "BCC: a@x,\r\n b@x,\r\n\tc@x\r\nTo: b@x\r\n\r\n", "Date: <date>\r\n" + id + "To: b@x\r\n\r\n"},
		{"Bcc goes in obsolete form", date + id + "Bcc : a@x\r\nTo: b@x\r\n\r\n", "Date: <date>\r\n" + id + "To: b@x\r\n\r\n"},
		{"Bcc first, last and twice", "Bcc: a@x\r\n" + date + "bcc: a@x\r\n" + id + "Bcc: c@x\r\n\r\n", "Date: <date>\r\n" + id + "\r\n"},
		{"an empty Bcc goes", date + id + "Bcc:\r\n\r\n", "Date: <date>\r\n" + id + "\r\n"},
		{"Resent-Bcc goes", date + id + "Resent-Bcc: a@x\r\n\r\n", "Date: <date>\r\n" + id + "\r\n"},
		{"a Bcc in the body stays", date + id + "\r\nBcc: a@x\r\n", "Date: <date>\r\n" + id + "\r\nBcc: a@x\r\n"},
		{"odd white space and folding stay", date + id + "Subject:   a\r\n   b \t\r\nX-Empty:\r\n\r\nbody\r\n", "Date: <date>\r\n" + id + "Subject:   a\r\n   b \t\r\nX-Empty:\r\n\r\nbody\r\n"},
		{"8-bit stays", date + id + "Subject: \xe9\r\n\r\n", "Date: <date>\r\n" + id + "Subject: \xe9\r\n\r\n"},
		{"a line of 5,000 octets stays", date + id + "X: " + strings.Repeat("y", 5000) + "\r\n\r\n", "Date: <date>\r\n" + id + "X: " + strings.Repeat("y", 5000) + "\r\n\r\n"},
		{"no body", date + id + "\r\n", "Date: <date>\r\n" + id + "\r\n"},
		{"no empty line and no body", date + id, "Date: <date>\r\n" + id},
		{"no header, but an empty line", "\r\nbody\r\n", newDate + newID + "\r\nbody\r\n"},
		{"no header and no empty line", "Hello world\r\nsecond\r\n", newDate + newID + "\r\nHello world\r\nsecond\r\n"},
		{"a first line that begins with a space", " Hello: world\r\n", newDate + newID + "\r\n Hello: world\r\n"},
		{"no empty line before the body", "Subject: x\r\nHello world\r\n", "Subject: x\r\n" + newDate + newID + "\r\nHello world\r\n"},
		{"a body of one line without end in sight", strings.Repeat("word ", 50_000) + "\r\n", newDate + newID + "\r\n" + strings.Repeat("word ", 50_000) + "\r\n"},
		{"a colon first is no field", ": x\r\n\r\n", newDate + newID + "\r\n: x\r\n\r\n"},
		{"the line of an mbox goes", "From alice Sun Jan  1 00:00:00 2023\r\n" + date + id + "\r\n", "Date: <date>\r\n" + id + "\r\n"},
		{"quoted too", ">From alice@x.example Sun Jan  1 00:00:00 2023\r\n" + date + id + "\r\nFrom here on\r\n", "Date: <date>\r\n" + id + "\r\nFrom here on\r\n"},
		{"with white space before the fields it is a body", "From alice\r\n Subject: x\r\n", newDate + newID + "\r\nFrom alice\r\n Subject: x\r\n"},
		{"prose that begins like it stays", "From me to you\r\n\r\nSubject: x\r\n", newDate + newID + "\r\nFrom me to you\r\n\r\nSubject: x\r\n"},
		{"a long line of it stays too", "From " + strings.Repeat("word ", 50_000) + "\r\n", newDate + newID + "\r\nFrom " + strings.Repeat("word ", 50_000) + "\r\n"},
		{"not behind a field", date + id + "From alice\r\n", "Date: <date>\r\n" + id + "\r\nFrom alice\r\n"},
		{"From with a space before its colon is a field", "From : a@x.example\r\n" + date + id + "\r\n", "From : a@x.example\r\nDate: <date>\r\n" + id + "\r\n"},
		{"nothing else", "From a\r\n", newDate + newID + "\r\nFrom a\r\n"},
		{"nothing at all", "", newDate + newID},
		{"a Received of others stays below ours", "Received: from a by b; x\r\n" + date + id + "\r\n", "Received: from a by b; x\r\nDate: <date>\r\n" + id + "\r\n"},
	} {
		t.Run(row.why, func(t *testing.T) {
			b := start(t, nil)
			c := b.dial(t)
			c.login()
			m := b.submit(t, c, row.content)
			got := fixed(m.content)
			trace := traceOf.FindString(got)
			if trace == "" {
				t.Fatalf("no trace field on top: %q", got)
			}
			if rest := got[len(trace):]; rest != row.want {
				t.Errorf("got  %.300q\nwant %.300q", rest, row.want)
			}
			if m.envelope.MessageID == "" {
				t.Error("the envelope does not tell the Message-ID")
			}
		})
	}
}

// TestMessageID: what the envelope tells, and with it the log, is one line of bounded
// length, whatever the header has.
func TestMessageID(t *testing.T) {
	for _, row := range []struct{ why, field, want string }{
		{"as usual", "Message-ID: <1@x.example>\r\n", "<1@x.example>"},
		{"folded, as long ones are", "Message-ID:\r\n <1@x.example>\r\n", "<1@x.example>"},
		{"folded within, as RFC 5322 had not meant it", "Message-ID: <1\r\n\t2@x.example>\r\n", "<1\t2@x.example>"},
		{"a quarter of a megabyte", "Message-ID: <" + strings.Repeat("x", 60<<10) + ">\r\n", "<" + strings.Repeat("x", 997)},
		{"nothing in it", "Message-ID: \r\n \r\n", "<01JD0000000000000000000000@relay.example.com>"},
		{"the first of two", "Message-ID: <1@x>\r\nMessage-ID: <2@x>\r\n", "<1@x>"},
	} {
		t.Run(row.why, func(t *testing.T) {
			b := start(t, nil)
			c := b.dial(t)
			c.login()
			m := b.submit(t, c, row.field+"\r\n")
			if m.envelope.MessageID != row.want {
				t.Errorf("got %.80q, want %.80q", m.envelope.MessageID, row.want)
			}
			if !strings.Contains(m.content, row.field) {
				t.Error("the field itself has changed")
			}
		})
	}
}

// TestHeaderIsBounded: headers beyond the limit, and loops, are refused.
func TestHeaderIsBounded(t *testing.T) {
	received := "Received: from a by b; Sun, 01 Jan 2023 00:00:00 +0000\r\n"
	for _, row := range []struct{ why, content, want string }{
		{"one field too big", "X: " + strings.Repeat("y", 65<<10) + "\r\n\r\n", "552 5.3.4 "},
		{"many fields too big", strings.Repeat("X: y\r\n", 20_000) + "\r\n", "552 5.3.4 "},
		{"a header without an end", strings.Repeat("X: y\r\n", 20_000), "552 5.3.4 "},
		{"a line without an end that may become a field", strings.Repeat("y", 100_000) + "\r\n", "552 5.3.4 "},
		{"a small header, a big body", "X: y\r\n\r\n" + strings.Repeat("y", 200_000) + "\r\n", "250 "},
		{"100 Received fields", strings.Repeat(received, 100) + "\r\n", "250 "},
		{"101 Received fields", strings.Repeat(received, 101) + "\r\n", "554 5.4.6 "},
	} {
		t.Run(row.why, func(t *testing.T) {
			c := start(t, nil).dial(t)
			c.login()
			c.begin()
			go func() { _, _ = c.conn.Write([]byte(stuff(row.content))) }()
			c.want(row.want)
		})
	}
}

// TestReceived compares trace fields with golden files.
func TestReceived(t *testing.T) {
	const content = "Date: x\r\nMessage-ID: <1@x>\r\n\r\n"
	for _, row := range []struct {
		name   string
		change func(*Options, *bench)
		before func(*client)
		mail   string
		rcpts  []string
	}{
		{name: "esmtpa", before: (*client).login},
		{name: "esmtpsa", before: func(c *client) {
			c.do("EHLO client.example", "250-")
			c.secure()
			c.login()
		}},
		{name: "esmtp", change: noAuth, before: func(c *client) { c.do("EHLO client.example", "250-") }},
		{name: "smtp", change: noAuth, before: func(c *client) { c.do("HELO client.example", "250 ") }},
		{name: "utf8", before: (*client).login, mail: "MAIL FROM:<a@example.com> SMTPUTF8", rcpts: []string{"\xc3\xa9@b\xc3\xbccher.example"}},
		{name: "several-recipients", before: (*client).login, rcpts: []string{"b@example.net", "c@example.net"}},
		{name: "quoted-recipient", before: (*client).login, rcpts: []string{`"b c"@example.net`}},
		{name: "literal-helo", change: noAuth, before: func(c *client) { c.do("EHLO [192.0.2.7]", "250-") }},
		{name: "bad-helo", change: noAuth, before: func(c *client) { c.do(`EHLO a)b;c"d\e<f>`, "250-") }},
		{name: "long-helo", change: noAuth, before: func(c *client) { c.do("EHLO "+strings.Repeat("x", 255), "250-") }},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := start(t, row.change)
			c := b.dial(t)
			row.before(c)
			if row.mail == "" {
				row.mail = "MAIL FROM:<a@example.com>"
			}
			if row.rcpts == nil {
				row.rcpts = []string{"b@example.net"}
			}
			c.do(row.mail, "250 ")
			for _, r := range row.rcpts {
				c.do("RCPT TO:<"+r+">", "250 ")
			}
			c.do("DATA", "354 ")
			c.send(content + ".\r\n")
			c.want("250 ")
			got := strings.TrimSuffix(fixed(b.queue.all()[0].content), content)
			for line := range strings.SplitSeq(got, "\r\n") {
				if len(line) > 998 {
					t.Errorf("a line of %d octets", len(line))
				}
			}
			golden(t, "received/"+row.name+".txt", strings.ReplaceAll(got, "\r\n", "\n"))
		})
	}
}

func noAuth(o *Options, _ *bench) { o.Listeners[0].Auth = config.AuthNone }

// TestVerdicts checks what is done to a message as a policy says.
func TestVerdicts(t *testing.T) {
	boss := mail.MustParseAddress("boss@example.org")
	tester := mail.MustParseAddress("tester@example.org")
	const content = "From: \"The App\" <app@example.com>\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n"
	const replyTo = "From: app@example.com\r\nReply-To: human@example.com\r\nDate: x\r\nMessage-ID: <1@x>\r\n\r\n"
	for _, row := range []struct {
		why, content string
		verdict      policy.Verdict
		check        func(t *testing.T, m message)
	}{
		{"deliver", content, policy.Verdict{Environment: config.EnvironmentDeliver}, func(t *testing.T, m message) {
			if m.disposition != queue.Deliver || !strings.HasSuffix(m.content, content) {
				t.Errorf("got %v %q", m.disposition, m.content)
			}
		}},
		{"capture", content, policy.Verdict{Environment: config.EnvironmentCapture}, func(t *testing.T, m message) {
			if m.disposition != queue.Capture {
				t.Error("a captured message would be delivered")
			}
		}},
		{"redirect shows the original recipients", content,
			policy.Verdict{Environment: config.EnvironmentRedirect, RedirectTo: []mail.Address{tester}}, func(t *testing.T, m message) {
				if r := m.envelope.Recipients; len(r) != 1 || r[0].Address != tester {
					t.Errorf("it goes to %v", r)
				}
				if !strings.Contains(m.content, "\r\nX-Original-To: b@example.net\r\n") {
					t.Errorf("got %q", m.content)
				}
			}},
		{"a rewritten reverse-path", content, policy.Verdict{Rewrite: config.Rewrite{ReversePath: &boss}}, func(t *testing.T, m message) {
			if m.envelope.From.Address != boss {
				t.Errorf("it comes from %v", m.envelope.From)
			}
		}},
		{"a rewritten From keeps its name, and becomes Reply-To", content, policy.Verdict{Rewrite: config.Rewrite{From: &boss}}, func(t *testing.T, m message) {
			if !strings.Contains(m.content, "\r\nFrom: \"The App\" <boss@example.org>\r\nReply-To: \"The App\" <app@example.com>\r\nDate: x\r\n") {
				t.Errorf("got %q", m.content)
			}
		}},
		{"a rewritten From leaves a Reply-To alone", replyTo, policy.Verdict{Rewrite: config.Rewrite{From: &boss}}, func(t *testing.T, m message) {
			if !strings.Contains(m.content, "\r\nFrom: <boss@example.org>\r\nReply-To: human@example.com\r\nDate: x\r\n") {
				t.Errorf("got %q", m.content)
			}
		}},
		{"reports go elsewhere", content, policy.Verdict{Bounces: "boss@example.org"}, func(t *testing.T, m message) {
			if m.envelope.Reports != "boss@example.org" {
				t.Errorf("reports go to %q", m.envelope.Reports)
			}
		}},
	} {
		t.Run(row.why, func(t *testing.T) {
			b := start(t, func(_ *Options, b *bench) { b.judge.verdict = row.verdict })
			c := b.dial(t)
			c.login()
			row.check(t, b.submit(t, c, row.content))
		})
	}
	t.Run("the null reverse-path is never rewritten", func(t *testing.T) {
		b := start(t, func(_ *Options, b *bench) { b.judge.verdict.Rewrite.ReversePath = &boss })
		c := b.dial(t)
		c.login()
		c.do("MAIL FROM:<>", "250 ")
		c.do("RCPT TO:<b@example.net>", "250 ")
		c.do("DATA", "354 ")
		c.do("x: y\r\n\r\n.", "250 ")
		if m := b.queue.all()[0]; !m.envelope.From.IsNull() {
			t.Errorf("it comes from %v", m.envelope.From)
		}
	})
	t.Run("a forged From is refused after the data", func(t *testing.T) {
		b := start(t, nil)
		c := b.dial(t)
		c.login()
		c.begin()
		c.do("From: Boss <forged@example.com>\r\n\r\nbody\r\n.", "550 5.7.1 ")
		if len(b.queue.all()) != 0 || b.queue.discarded != 1 {
			t.Error("it was not thrown away")
		}
	})
	t.Run("what a policy counted is given back if the message can't be kept", func(t *testing.T) {
		undone := 0
		b := start(t, func(_ *Options, b *bench) {
			b.queue.commit = os.ErrPermission
			b.judge.verdict.Undo = func() { undone++ }
		})
		c := b.dial(t)
		c.login()
		c.begin()
		c.do("x: y\r\n\r\n.", "451 4.3.0 ")
		if undone != 1 {
			t.Errorf("given back %d times", undone)
		}
	})
}
