package submission

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// FuzzSession feeds a whole session to the server, cut into two writes. Whatever
// comes in, the session ends, every reply is well formed, and what was queued has
// whole lines and an envelope that can travel.
func FuzzSession(f *testing.F) {
	login := "EHLO x\r\nAUTH PLAIN " + alicePlain + "\r\n"
	works := login + "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: x\r\n\r\nbody\r\n.\r\nQUIT\r\n"
	for _, s := range []string{
		works,
		login + "MAIL FROM:<> RET=FULL ENVID=x+2B SMTPUTF8\r\nRCPT TO:<\"a b\"@[IPv6:::1]> NOTIFY=NEVER ORCPT=utf-8;\\x{20AC}\r\nBDAT 4\r\na:b\nBDAT 0 LAST\r\n",
		login + "MAIL FROM:<a@b>\r\nRCPT TO:<@x,@y:postmaster>\r\nBDAT 7\r\na: b\r\n\rBDAT 2 LAST\r\n\nx\r\nRSET\r\n",
		login + "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nBcc: x\r\n y\r\nFrom: \"a\\\" <b@c>, (d) e@f\r\n..\r\n.\n.\r\n",
		"AUTH LOGIN\r\nYQ==\r\n*\r\nHELO y\r\nAUTH LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\nVRFY a\r\nHELP\r\nNOOP\r\n",
		"EHLO x\r\nSTARTTLS\r\n\x16\x03\x01\x00\x05hello",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\n\r\x00", strings.Repeat("A", 20_000) + "\r\nNOOP\r\n",
	} {
		f.Add([]byte(s), 10, false)
		f.Add([]byte(s), len(s)-3, true)
	}
	f.Fuzz(func(t *testing.T, script []byte, cut int, normalise bool) {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, func(o *Options, b *bench) {
				o.Listeners, o.MaxFailures = nil, 1
				o.Limits.MaxMessageSize, o.Limits.MaxHeaderSize = 10_000, 2000
			})
			conf := testListener
			if normalise {
				conf.BareNewlines = config.BareNormalise
			}
			c := b.pipe(t, conf)
			_ = c.conn.SetDeadline(time.Now().Add(testLimits.SessionTimeout + time.Minute))
			go func() {
				cut := min(max(cut, 0), len(script))
				_, _ = c.conn.Write(script[:cut])
				_, _ = c.conn.Write(script[cut:])
				_, _ = c.conn.Write([]byte("\r\n.\r\nQUIT\r\n"))
			}()
			out, err := io.ReadAll(c.conn)
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Fatalf("the session hangs after %q", out)
			}
			checkReplies(t, out)
			queued := b.queue.all()
			if string(script) == works && len(queued) == 0 {
				t.Fatal("nothing gets past the login")
			}
			for _, m := range queued {
				checkMessage(t, m)
			}
		})
	})
}

func checkReplies(t *testing.T, out []byte) {
	for line := range bytes.Lines(out) {
		text, ok := bytes.CutSuffix(line, crlf)
		if line[0] == 0x15 || line[0] == 0x16 {
			return // a TLS record
		}
		if !ok || len(text) < 4 || text[0] < '2' || text[0] > '5' || (text[3] != ' ' && text[3] != '-') ||
			bytes.ContainsAny(text, "\r\x00") || len(text) > 512 {
			t.Fatalf("a malformed reply line %q in %q", line, out)
		}
	}
}

func checkMessage(t *testing.T, m message) {
	e := m.envelope
	if e.Identity.Name == "" || len(e.Recipients) == 0 {
		t.Fatalf("queued for nobody, or from nobody: %+v", e)
	}
	if _, err := mail.ParsePath(e.From.String()); err != nil {
		t.Fatalf("reverse-path %q: %v", e.From, err)
	}
	for _, r := range e.Recipients {
		if _, err := mail.ParseAddress(r.Address.String()); err != nil || r.Address.Domain.IsZero() {
			t.Fatalf("recipient %q: %v", r.Address, err)
		}
	}
	if strings.ContainsAny(strings.ReplaceAll(m.content, "\r\n", ""), "\r\n\x00") {
		t.Fatalf("a CR, LF or NUL alone was queued: %q", m.content)
	}
	if !strings.HasPrefix(m.content, "Received: from ") || !strings.HasSuffix(m.content, "\r\n") || e.Size != int64(len(m.content)) {
		t.Fatalf("queued %d octets as %d: %q", len(m.content), e.Size, m.content)
	}
	header, _, _ := strings.Cut(m.content, "\r\n\r\n")
	for line := range strings.SplitSeq(header, "\r\n") {
		if name, _, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimRight(name, " \t"), "bcc") {
			t.Fatalf("Bcc was queued: %q", m.content)
		}
	}
}

// FuzzData checks the reading of DATA against the plain definition: up to the
// first CR LF . CR LF, one dot less on lines that begin with one.
func FuzzData(f *testing.F) {
	for _, s := range []string{".\r\n", "a\r\n.\r\n", "..\r\n.\r\n", "a\r\n.\r\r\n.\r\n", "\r\n.\n\r\n.\r\n", "x\r", "\r\n..\r\n.\r\nQUIT\r\n"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, wire []byte, step uint8) {
		want, rest, complete := definition(string(wire))
		b := dripping(wire, int(step)%7+1)
		defer b.in.release()
		d := &dotSource{in: &b.in, clock: contentClock{s: b}}
		var got []byte
		var err error
		for err == nil {
			var p []byte
			p, err = d.next(false)
			got = append(got, p...)
		}
		if (err == io.EOF) != complete {
			t.Fatalf("%q: ended with %v", wire, err)
		}
		if complete && (string(got) != want) {
			t.Fatalf("%q: got %q, want %q", wire, got, want)
		}
		if complete && !strings.HasPrefix(rest, string(b.in.unread())) {
			t.Fatalf("%q: left %q, want the beginning of %q", wire, b.in.unread(), rest)
		}
	})
}

func definition(wire string) (content, rest string, complete bool) {
	all := "\r\n" + wire
	end := strings.Index(all, "\r\n.\r\n")
	if end < 0 {
		return "", "", false
	}
	content = all[:end+2]
	return strings.ReplaceAll(content, "\r\n.", "\r\n")[2:], all[end+5:], true
}

// dripping makes a session that reads wire, step octets at a time.
func dripping(wire []byte, step int) *session {
	srv := New(Options{Hostname: "x", Limits: testLimits})
	s := &session{srv: srv, lst: &listener{}, set: srv.settings.Load(), tx: &transaction{}}
	s.conn = &drip{wire: wire, step: step}
	s.raw = s.conn
	s.in.init(s.conn)
	s.out.conn = s.conn
	return s
}

// drip is a connection that gives a few octets at a time.
type drip struct {
	net.Conn
	wire []byte
	step int
}

func (d *drip) Read(p []byte) (int, error) {
	if len(d.wire) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(d.step, len(p))], d.wire)
	d.wire = d.wire[n:]
	return n, nil
}

func (d *drip) Write(p []byte) (int, error)      { return len(p), nil }
func (d *drip) SetDeadline(time.Time) error      { return nil }
func (d *drip) SetReadDeadline(time.Time) error  { return nil }
func (d *drip) SetWriteDeadline(time.Time) error { return nil }

// FuzzHeader: where the pieces of a message begin and end changes nothing about
// what its header is.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("Subject : x\r\n y\r\n\r\nbody\r\n"), uint8(0))
	f.Add([]byte("From a b\r\nTo: x\r\nbody\r\n"), uint8(2))
	f.Fuzz(func(t *testing.T, content []byte, step uint8) {
		content = append(new(newlines).clean(content, false), crlf...) // what a header gets is lines
		whole, pieces := &header{}, &header{}
		whole.write(content)
		for p := range slices.Chunk(content, int(step)+1) {
			pieces.write(p)
		}
		whole.end()
		pieces.end()
		if whole.body != pieces.body || whole.separated != pieces.separated || !slices.Equal(whole.fields, pieces.fields) {
			t.Fatalf("%q in pieces of %d: %+v, whole %+v", content, int(step)+1, pieces, whole)
		}
	})
}

// FuzzParams: what a parameter decodes to can stand in a report.
func FuzzParams(f *testing.F) {
	for _, s := range []string{" SIZE=1 BODY=8BITMIME", " ENVID=a+2Bb RET=HDRS", " NOTIFY=NEVER ORCPT=rfc822;a+40b", " ORCPT=utf-8;\\x{20AC}", " =", " A=B=C"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, params string) {
		s := &session{}
		if clean(params, true) && s.senderParams(params) == nil && !clean(s.sender.envid, false) {
			t.Fatalf("%q: ENVID %q", params, s.sender.envid)
		}
		if clean(params, true) && s.recipientParams(params) == nil && !clean(s.recipient.Original, true) {
			t.Fatalf("%q: ORCPT %q", params, s.recipient.Original)
		}
	})
}

// FuzzNewlines checks the search for bare newlines, and their repair, against
// the plain definition, whatever the pieces.
func FuzzNewlines(f *testing.F) {
	f.Add([]byte("a\r\nb\r\n"), 3)
	f.Add([]byte("a\r\r\n\n\rb\r"), 2)
	f.Fuzz(func(t *testing.T, content []byte, cut int) {
		cut = min(max(cut, 0), len(content))
		var n newlines
		var bare bool
		var got []byte
		for _, p := range [][]byte{content[:cut], content[cut:]} {
			held := n.cr && len(p) > 0
			found := n.bare(p)
			bare = bare || found
			if found || held || n.cr {
				got = append(got, n.clean(p, held)...)
			} else {
				got = append(got, p...)
			}
		}
		if n.end() {
			bare = true
			got = append(got, crlf...)
		}
		plain := strings.ReplaceAll(string(content), "\r\n", "")
		if want := strings.ContainsAny(plain, "\r\n"); bare != want {
			t.Fatalf("%q cut at %d: bare is %v", content, cut, bare)
		}
		lines := strings.NewReplacer("\r\n", "\r\n", "\r", "\r\n", "\n", "\r\n").Replace(string(content))
		if string(got) != lines {
			t.Fatalf("%q cut at %d: made %q, want %q", content, cut, got, lines)
		}
	})
}
