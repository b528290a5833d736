package submission

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
)

// bdat makes a chunk with its command.
func bdat(content string, last bool) string {
	command := fmt.Sprintf("BDAT %d", len(content))
	if last {
		command += " LAST"
	}
	return command + "\r\n" + content
}

// body returns what stands behind the header of what was queued.
func (m message) body() string {
	_, body, _ := strings.Cut(m.content, "\r\n\r\n")
	return body
}

// stuff does to content what a client does for DATA.
func stuff(content string) string {
	if strings.HasPrefix(content, ".") {
		content = "." + content
	}
	return strings.ReplaceAll(content, "\r\n.", "\r\n..") + ".\r\n"
}

func TestBodyArrivesAsItWasSent(t *testing.T) {
	big := strings.Repeat(strings.Repeat("x", 76)+"\r\n", 10_000)
	for _, row := range []struct{ why, body string }{
		{"one line", "hello\r\n"},
		{"nothing", ""},
		{"an empty line", "\r\n"},
		{"a dot", ".\r\n"},
		{"dots at line starts", ".a\r\n..b\r\n...\r\n.\r\n"},
		{"8-bit", "caf\xe9 \xff\xfe\r\n"},
		{"a line of 998 octets", strings.Repeat("y", 998) + "\r\n"},
		{"a line of 100,000 octets", strings.Repeat("z", 100_000) + "\r\n"},
		{"many dots", strings.Repeat(".\r\n", 20_000)},
		{"what looks like commands", "QUIT\r\nRSET\r\nMAIL FROM:<x@y>\r\n"},
		{"what looks like a header", "Bcc: shown@example.net\r\n\r\nmore\r\n"},
		{"780 KB", big},
	} {
		t.Run(row.why, func(t *testing.T) {
			b := start(t, nil)
			c := b.dial(t)
			c.login()
			content := "Subject: x\r\n\r\n" + row.body

			c.begin()
			go func() { _, _ = c.conn.Write([]byte(stuff(content))) }()
			c.want("250 2.0.0 queued as " + testID.String())

			c.do("MAIL FROM:<a@example.com>", "250 ")
			c.do("RCPT TO:<b@example.net>", "250 ")
			c.send(bdat(content, true))
			c.want("250 2.0.0 queued as " + testID.String())

			for i, m := range b.queue.all() {
				if m.body() != row.body {
					t.Errorf("message %d: got a body of %d octets, %.60q", i, len(m.body()), m.body())
				}
				if m.envelope.Size != int64(len(m.content)) {
					t.Errorf("message %d: Size is %d, content has %d", i, m.envelope.Size, len(m.content))
				}
				if want := strings.Contains(row.body, "\xe9"); m.envelope.EightBit != want {
					t.Errorf("message %d: EightBit is %v", i, m.envelope.EightBit)
				}
			}
		})
	}
}

// TestChunksEndInTheHeader: what BDAT ends inside of a field is a field all the
// same, and nothing of ours becomes part of it.
func TestChunksEndInTheHeader(t *testing.T) {
	for _, row := range []struct{ why, content, header string }{
		{"in Subject", "From: a@example.com\r\nSubject: hi", "From: a@example.com\r\nSubject: hi\r\nDate: "},
		{"in From", "Subject: hi\r\nFrom: a@example.com", "Subject: hi\r\nFrom: a@example.com\r\nDate: "},
		{"in a continuation", "From: a@example.com\r\nSubject: hi\r\n you", "Subject: hi\r\n you\r\nDate: "},
		{"in Bcc", "From: a@example.com\r\nBcc: secret@example.net", "From: a@example.com\r\nDate: "},
		{"where no colon has come", "From: a@example.com\r\nhello", "\r\n\r\nhello\r\n"},
	} {
		t.Run(row.why, func(t *testing.T) {
			b := start(t, nil)
			c := b.dial(t)
			c.login()
			c.do("MAIL FROM:<a@example.com>", "250 ")
			c.do("RCPT TO:<b@example.net>", "250 ")
			c.send(bdat(row.content, true))
			c.want("250 2.0.0 queued")
			m := b.queue.all()[0]
			if !strings.Contains(m.content, row.header) || strings.Contains(m.content, "secret") {
				t.Errorf("got %q, want %q in it", m.content, row.header)
			}
			if len(b.judge.from) != 1 || b.judge.from[0].String() != "a@example.com" {
				t.Errorf("judged by %v", b.judge.from)
			}
		})
	}
}

// TestDataSplitAnywhere writes one message in two parts, split at every place.
func TestDataSplitAnywhere(t *testing.T) {
	b := start(t, nil)
	c := b.dial(t)
	c.login()
	const wire = "Subject: x\r\n\r\n..\r\na\r\n..b\r\n\r\n.\r\n"
	const want = ".\r\na\r\n.b\r\n\r\n"
	for i := range len(wire) {
		c.begin()
		c.send(wire[:i])
		c.send(wire[i:])
		c.want("250 2.0.0 ")
		m := b.queue.all()
		if got := m[len(m)-1].body(); got != want {
			t.Fatalf("split at %d: got %q, want %q", i, got, want)
		}
	}
}

// TestChunksSplitAnywhere sends one message in two chunks, split at every place,
// line ends and the end of the header included.
func TestChunksSplitAnywhere(t *testing.T) {
	b := start(t, nil)
	c := b.dial(t)
	c.login()
	const content = "Subject : x\r\n y\r\n\r\n\r\nbody\r\n"
	for i := range len(content) + 1 {
		c.do("MAIL FROM:<a@example.com>", "250 ")
		c.do("RCPT TO:<b@example.net>", "250 ")
		c.send(bdat(content[:i], false))
		c.want("250 ")
		c.send(bdat(content[i:], true))
		c.want("250 2.0.0 queued")
		all := b.queue.all()
		if got, unsplit := fixed(all[i].content), fixed(all[0].content); got != unsplit {
			t.Errorf("split at %d: got %q, want %q", i, got, unsplit)
		}
	}
	if got := b.queue.all()[0].body(); got != "\r\nbody\r\n" {
		t.Errorf("the body is %q", got)
	}
}

func TestChunks(t *testing.T) {
	b := start(t, nil)
	c := b.dial(t)
	c.login()
	content := "Subject: chunks\r\n\r\n" + strings.Repeat("0123456789\r\n", 5000)

	t.Run("cut anywhere, also inside of CR LF", func(t *testing.T) {
		c.do("MAIL FROM:<a@example.com>", "250 ")
		c.do("RCPT TO:<b@example.net>", "250 ")
		r := rand.New(rand.NewPCG(1, 2))
		rest := content
		for len(rest) > 0 {
			n := min(1+r.IntN(3000), len(rest))
			c.send(bdat(rest[:n], false))
			c.want(fmt.Sprintf("250 2.0.0 %d octets received", n))
			rest = rest[n:]
		}
		c.send("BDAT 0 LAST\r\n")
		c.want("250 2.0.0 queued")
		m := b.queue.all()
		if got := m[len(m)-1].content; !strings.HasSuffix(got, content[len("Subject: chunks\r\n"):]) {
			t.Errorf("got %.80q...", got)
		}
	})
	t.Run("pipelined, in one write", func(t *testing.T) {
		c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\n" + bdat("Subject: x\r\n", false) + bdat("\r\nbody", true))
		c.want("250 2.1.0")
		c.want("250 2.1.5")
		c.want("250 2.0.0 12 octets received")
		c.want("250 2.0.0 queued")
		m := b.queue.all()
		if got := m[len(m)-1].body(); got != "body\r\n" {
			t.Errorf("got %q, want the last line ended", got)
		}
	})
	t.Run("what may and may not come between two chunks", func(t *testing.T) {
		c.do("MAIL FROM:<a@example.com>", "250 ")
		c.do("RCPT TO:<b@example.net>", "250 ")
		c.send(bdat("Subject: x\r\n", false))
		c.want("250 ")
		for command, want := range map[string]string{
			"NOOP": "250 ", "HELP": "214-", "DATA": "503 5.5.1 ", "MAIL FROM:<x@example.com>": "503 5.5.1 ",
			"RCPT TO:<x@example.com>": "503 5.5.1 ", "AUTH PLAIN": "503 5.5.1 ", "STARTTLS": "503 5.5.1 ", "XYZZY": "500 ",
		} {
			c.do(command, want)
		}
		c.send(bdat("\r\nbody\r\n", true))
		c.want("250 2.0.0 queued")
	})
	for _, way := range []string{"RSET", "EHLO again", "HELO again"} {
		t.Run("given up by "+way, func(t *testing.T) {
			before := len(b.queue.all())
			c.do("MAIL FROM:<a@example.com>", "250 ")
			c.do("RCPT TO:<b@example.net>", "250 ")
			c.send(bdat("Subject: x\r\n", false))
			c.want("250 ")
			c.do(way, "250")
			c.do("DATA", "503 5.5.1 ")
			if len(b.queue.all()) != before {
				t.Error("a message that was given up is in the queue")
			}
		})
	}
	t.Run("a refused message refuses the chunks that follow", func(t *testing.T) {
		c.do("MAIL FROM:<a@example.com>", "250 ")
		c.do("RCPT TO:<b@example.net>", "250 ")
		c.send(bdat("a\nb\r\n", false) + bdat("QUIT\r\n", false) + bdat("QUIT\r\n", true))
		c.want("550 5.6.0 ")
		c.want("503 5.5.1 ")
		c.want("503 5.5.1 ")
		c.do("NOOP", "250 ")
	})
	t.Run("given up by QUIT", func(t *testing.T) {
		c.do("MAIL FROM:<a@example.com>", "250 ")
		c.do("RCPT TO:<b@example.net>", "250 ")
		c.send(bdat("Subject: x\r\n", false))
		c.want("250 ")
		c.do("QUIT", "221 2.0.0 ")
		c.closed()
	})
}

// TestSizeLimit: a message of exactly the limit is taken, one octet more is not.
// What we add to its header counts for neither.
func TestSizeLimit(t *testing.T) {
	const limit = 2000
	ofPolicy, err := policy.New([]config.Policy{{Limits: config.PolicyLimits{
		Size: limit, Bytes: config.SizeRate{Size: 2 * limit, Per: time.Hour},
	}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		why    string
		change func(*Options)
	}{
		{"the server's", func(o *Options) { o.Limits.MaxMessageSize = limit }},
		{"a policy's, and its octets in an hour", func(o *Options) { o.Judge = func() policy.Judge { return ofPolicy } }},
	} {
		t.Run(row.why, func(t *testing.T) {
			b := start(t, func(o *Options, _ *bench) { row.change(o) })
			c := b.dial(t)
			c.login()
			content := "Subject: x\r\n\r\n..\r\n" + strings.Repeat("y", limit-17-2) + "\r\n" // two dots, one of them counts
			for extra, want := range map[int]string{0: "250 2.0.0 ", 1: "552 5.3.4 ", 100_000: "552 5.3.4 "} {
				padded := strings.Replace(content, "yy", "yy"+strings.Repeat("y", extra), 1)
				c.begin()
				go func() { _, _ = c.conn.Write([]byte(padded + ".\r\n")) }()
				c.want(want)
				c.do("MAIL FROM:<a@example.com>", "250 ")
				c.do("RCPT TO:<b@example.net>", "250 ")
				c.send(bdat(strings.Replace(padded, "..", ".", 1), true))
				c.want(want)
			}
			if n := len(b.queue.all()); n != 2 {
				t.Errorf("%d messages were accepted, want 2", n)
			}
		})
	}
}

// TestStoreFails: whatever the queue can't do is answered for now, without a
// word of why, and nothing is kept.
func TestStoreFails(t *testing.T) {
	secret := errors.New("/var/lib/postrider: read-only file system")
	full := mail.Errorf(452, mail.EnhancedCode{4, 3, 1}, "insufficient storage").Because(secret)
	for _, row := range []struct {
		why  string
		set  func(*fakeQueue)
		data string // answer to DATA
		end  string // to the end of data
	}{
		{"full before the content", func(q *fakeQueue) { q.receive = full }, "452 4.3.1 ", ""},
		{"broken before the content", func(q *fakeQueue) { q.receive = secret }, "451 4.3.0 ", ""},
		{"broken in the content", func(q *fakeQueue) { q.write = secret }, "354 ", "451 4.3.0 "},
		{"full in the content", func(q *fakeQueue) { q.write = full }, "354 ", "452 4.3.1 "},
		{"broken at the commit", func(q *fakeQueue) { q.commit = secret }, "354 ", "451 4.3.0 "},
		{"a wrapped reply", func(q *fakeQueue) { q.commit = fmt.Errorf("commit: %w", full) }, "354 ", "452 4.3.1 "},
	} {
		t.Run(row.why, func(t *testing.T) {
			b := start(t, func(_ *Options, b *bench) { row.set(b.queue) })
			c := b.dial(t)
			c.login()
			c.do("MAIL FROM:<a@example.com>", "250 ")
			c.do("RCPT TO:<b@example.net>", "250 ")
			r := c.do("DATA", row.data)
			if row.end != "" {
				r = c.do("Subject: x\r\n\r\nbody\r\n.", row.end)
			}
			if strings.Contains(r, "/var") {
				t.Errorf("the reply tells too much: %q", r)
			}
			events := b.events.of(mail.EventRejected)
			if len(events) != 1 || !errors.Is(events[0].Err, secret) {
				t.Errorf("the event does not tell why: %+v", events)
			}
			if n := len(b.queue.all()); n != 0 {
				t.Errorf("%d messages were accepted", n)
			}
			c.do("RSET", "250 ")
		})
	}
}

// TestDisconnectInData leaves nothing behind.
func TestDisconnectInData(t *testing.T) {
	b := start(t, nil)
	c := b.dial(t)
	c.login()
	c.begin()
	c.send("Subject: x\r\n\r\nbody\r\n.\r")
	_ = c.conn.Close()
	ctx, cancel := contextFor(t, 10*time.Second)
	defer cancel()
	if err := b.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if n := len(b.queue.all()); n != 0 || b.queue.discarded != 1 {
		t.Errorf("%d messages accepted, %d discarded", n, b.queue.discarded)
	}
}
