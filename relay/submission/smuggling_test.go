package submission

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// smuggled is what an attacker puts behind a false end of data.
const smuggled = "MAIL FROM:<forged@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nsmuggled\r\n.\r\n"

// falseEnds are sequences that some server somewhere takes for the end of the
// data, and that are not.
var falseEnds = []struct{ why, seq string }{
	{"LF . LF", "\n.\n"},
	{"LF . CR LF", "\n.\r\n"},
	{"CR LF . LF", "\r\n.\n"},
	{"CR . CR", "\r.\r"},
	{"CR . CR LF", "\r.\r\n"},
	{"CR LF . CR", "\r\n.\r"},
	{"LF . CR", "\n.\r"},
	{"CR . LF", "\r.\n"},
	{"CR CR LF . CR CR LF", "\r\r\n.\r\r\n"},
	{"CR LF . CR CR LF", "\r\n.\r\r\n"},
	{"CR LF NUL . CR LF", "\r\n\x00.\r\n"},
	{"CR LF . NUL CR LF", "\r\n.\x00\r\n"},
	{"LF CR . LF CR", "\n\r.\n\r"},
	{"LF LF . CR LF", "\n\n.\r\n"},
	{"CR LF . . LF", "\r\n..\n"},
	{"CR alone", "a\rb"},
	{"LF alone", "a\nb"},
	{"NUL", "a\x00b"},
}

func TestSmugglingIsRefused(t *testing.T) {
	for _, row := range falseEnds {
		for _, size := range []int{0, 1, 2, 3} { // octets of the sequence that come later
			t.Run(row.why, func(t *testing.T) {
				b := start(t, nil)
				c := b.dial(t)
				c.login()
				c.begin()
				cut := max(len(row.seq)-size, 0)
				c.send("Subject: x\r\n\r\nbody" + row.seq[:cut])
				c.send(row.seq[cut:] + smuggled)
				// One reply to one message, and nothing of the rest was run: its
				// own end of data is ours.
				c.want("550 5.6.0 ")
				c.do("NOOP", "250 2.0.0 OK")
				if n := len(b.queue.all()); n != 0 {
					t.Fatalf("%d messages were accepted", n)
				}
				c.begin() // and the session goes on
				c.do("good\r\n.", "250 2.0.0 queued")
			})
		}
	}
}

func TestSmugglingIsRefusedInChunks(t *testing.T) {
	for _, row := range falseEnds {
		t.Run(row.why, func(t *testing.T) {
			b := start(t, nil)
			c := b.dial(t)
			c.login()
			c.do("MAIL FROM:<a@example.com>", "250 ")
			c.do("RCPT TO:<b@example.net>", "250 ")
			content := "Subject: x\r\n\r\nbody" + row.seq + smuggled
			c.send(bdat(content, true))
			c.want("550 5.6.0 ")
			c.do("NOOP", "250 2.0.0 OK")
			if n := len(b.queue.all()); n != 0 {
				t.Fatalf("%d messages were accepted", n)
			}
		})
	}
}

// TestNormalisedNewlines sends every false end to a listener that normalises:
// each CR and LF alone becomes a line end of its own, and none an end of data.
func TestNormalisedNewlines(t *testing.T) {
	normalise := func(o *Options, _ *bench) { o.Listeners[0].BareNewlines = config.BareNormalise }
	for _, row := range falseEnds {
		t.Run(row.why, func(t *testing.T) {
			b := start(t, normalise)
			c := b.dial(t)
			c.login()
			c.begin()
			c.send("Subject: x\r\n\r\nbody" + row.seq + "rest\r\n.\r\n")
			if strings.Contains(row.seq, "\x00") {
				c.want("550 5.6.0 ")
				return
			}
			c.want("250 2.0.0 queued")
			c.do("NOOP", "250 2.0.0 OK")
			m := b.queue.all()
			if len(m) != 1 {
				t.Fatalf("%d messages were accepted, want 1", len(m))
			}
			bare := strings.ReplaceAll(m[0].content, "\r\n", "")
			if strings.ContainsAny(bare, "\r\n") {
				t.Errorf("a CR or LF alone was passed on: %q", m[0].content)
			}
			if !strings.HasSuffix(m[0].content, "rest\r\n") {
				t.Errorf("the message was cut short: %q", m[0].content)
			}
		})
	}
}

func TestNormalise(t *testing.T) {
	for _, row := range []struct {
		why    string
		pieces []string
		want   string
	}{
		{"nothing to do", []string{"a\r\nb\r\n"}, "a\r\nb\r\n"},
		{"LF", []string{"a\nb\n"}, "a\r\nb\r\n"},
		{"CR", []string{"a\rb\r"}, "a\r\nb\r\n"},
		{"CR LF in two pieces", []string{"a\r", "\nb\r\n"}, "a\r\nb\r\n"},
		{"CR at the end of a piece, alone", []string{"a\r", "b\r\n"}, "a\r\nb\r\n"},
		{"CR CR LF", []string{"a\r\r\n"}, "a\r\n\r\n"},
		{"CR CR LF octet by octet", []string{"a", "\r", "\r", "\n"}, "a\r\n\r\n"},
		{"LF CR", []string{"\n\r"}, "\r\n\r\n"},
		{"LF LF", []string{"\n", "\n"}, "\r\n\r\n"},
	} {
		t.Run(row.why, func(t *testing.T) {
			var n newlines
			var got strings.Builder
			for _, p := range row.pieces {
				held := n.cr
				bare := n.bare([]byte(p))
				if bare || held || n.cr {
					got.Write(n.clean([]byte(p), held))
				} else {
					got.WriteString(p)
				}
			}
			if n.end() {
				got.WriteString("\r\n")
			}
			if got.String() != row.want {
				t.Errorf("got %q, want %q", got.String(), row.want)
			}
		})
	}
}

// TestRefusedContentIsNotRun: a client that sends content without waiting for
// 354 must not have it run as commands when DATA is refused.
func TestRefusedContentIsNotRun(t *testing.T) {
	b := start(t, nil)
	c := b.dial(t)
	c.login()
	c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<denied@example.net>\r\nDATA\r\n" +
		"Subject: x\r\n\r\nMAIL FROM:<b@example.com>\r\nRCPT TO:<victim@example.net>\r\nDATA\r\nsmuggled\r\n.\r\n.\r\n")
	c.want("250 ")
	c.want("550 5.7.1 ")
	c.want("554 5.5.1 ")
	c.want("421 4.7.0 ")
	c.closed()
	if n := len(b.queue.all()); n != 0 {
		t.Fatalf("%d messages were accepted", n)
	}
	if e := b.events.of(mail.EventRejected); e[len(e)-1].Reply.Code != 421 {
		t.Errorf("the last event is %+v", e[len(e)-1])
	}
}

// TestBrowserIsTurnedAway: a web page can make a browser talk to a port of its
// user's host, with a body it chooses.
func TestBrowserIsTurnedAway(t *testing.T) {
	b := start(t, func(o *Options, _ *bench) { o.Listeners[0].Auth = config.AuthNone })
	for _, method := range []string{"GET", "POST", "PUT", "OPTIONS", "CONNECT"} {
		c := b.dial(t)
		c.send(method + " / HTTP/1.1\r\nHost: localhost\r\n\r\nEHLO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\nx\r\n.\r\n")
		c.want("421 4.7.0 ")
		c.closed()
	}
	if n := len(b.queue.all()); n != 0 {
		t.Fatalf("%d messages were accepted", n)
	}
}
