package delivery

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	relay "github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
)

// TestHostsThatLackExtensions: converted where the RFCs allow it, else a bounce
// that says which extension is missing.
func TestHostsThatLackExtensions(t *testing.T) {
	const utf8Header = "Subject: Grüße\r\n\r\nhello\r\n"
	eight := crlf("MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\nGrüße\n")
	signed := crlf("MIME-Version: 1.0\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nGrüße\n--b\n\nx\n--b--\n")
	for _, row := range []struct {
		why      string
		content  string
		change   func(*relay.Envelope)
		keywords []string
		code     string // of the bounce; empty if it was sent
		mail     string // expected in MAIL
	}{
		{"8-bit to a host that takes it", eight, nil, []string{"8BITMIME"}, "", " BODY=8BITMIME"},
		{"8-bit to a host that doesn't", eight, nil, nil, "", ""},
		{"8-bit to a host that says so with SMTPUTF8", eight, nil, []string{"SMTPUTF8"}, "", ""},
		{"signed", signed, nil, nil, "5.6.3", ""},
		{"declared 8-bit and isn't", hello, func(e *relay.Envelope) { e.Body = relay.Body8BitMIME }, nil, "", ""},
		{"binary to a host that takes it", eight, func(e *relay.Envelope) { e.Body = relay.BodyBinaryMIME }, []string{"BINARYMIME", "CHUNKING"}, "", " BODY=BINARYMIME"},
		{"binary to a host that doesn't", eight, func(e *relay.Envelope) { e.Body = relay.BodyBinaryMIME }, []string{"CHUNKING", "8BITMIME"}, "", ""},
		{"binary only in the length of its lines", crlf("MIME-Version: 1.0\nContent-Transfer-Encoding: binary\n\n") + strings.Repeat("x", 100_000),
			func(e *relay.Envelope) { e.Body = relay.BodyBinaryMIME }, nil, "", ""},
		{"UTF-8 declared and needed nowhere", hello, func(e *relay.Envelope) { e.SMTPUTF8 = true }, nil, "", ""},
		{"UTF-8 in the header", utf8Header, func(e *relay.Envelope) { e.SMTPUTF8 = true }, []string{"8BITMIME"}, "5.6.9", ""},
		{"UTF-8 taken", utf8Header, func(e *relay.Envelope) { e.SMTPUTF8 = true }, []string{"8BITMIME", "SMTPUTF8"}, "", " SMTPUTF8"},
		{"UTF-8 sender", hello, func(e *relay.Envelope) {
			e.SMTPUTF8 = true
			e.From.Address = relay.MustParseAddress("jürgen@example.org")
		}, nil, "5.6.7", ""},
		{"UTF-8 recipient", hello, func(e *relay.Envelope) {
			e.SMTPUTF8 = true
			e.Recipients[0].Address = relay.MustParseAddress("jürgen@example.net")
		}, nil, "5.6.7", ""},
		{"too large", hello, nil, []string{"SIZE 10"}, "5.3.4", ""},
		{"size said", hello, nil, []string{"SIZE 1000"}, "", " SIZE=25"},
	} {
		t.Run(row.why, func(t *testing.T) {
			p := peer(t, nil, row.keywords...)
			a := message(row.content, "1@example.net", "2@example.net")
			a.Envelope.EightBit = !utf8.ValidString(row.content) || strings.ContainsRune(row.content, 'ü')
			if row.change != nil {
				row.change(a.Envelope)
			}
			o := send(t, mx(hop("mx.example.net", p.Addr())), a)
			if x := o.Results[0]; row.code != "" {
				if x.Verdict != queue.Bounce || x.Reply.Enhanced.String() != row.code {
					t.Errorf("outcome: %+v", o)
				}
				ours(t, o, "mx.example.net")
				return
			}
			if o.Results[0].Verdict != queue.Success {
				t.Fatalf("outcome: %+v", o)
			}
			m := p.Messages()[0]
			if row.mail != "" && !strings.Contains(m.Mail, row.mail) {
				t.Errorf("MAIL was %q", m.Mail)
			}
			if row.keywords == nil && strings.Contains(m.Mail, "=") {
				t.Errorf("MAIL was %q to a host without extensions", m.Mail)
			}
			if row.keywords == nil {
				is7Bit(t, string(m.Content))
			} else if string(m.Content) != row.content && a.Envelope.Body != relay.BodyBinaryMIME {
				t.Errorf("content was changed to %q", m.Content)
			}
		})
	}
}

// ours checks that the first result of o is in our own words, and that they tell what
// host they are about.
func ours(t *testing.T, o queue.Outcome, host string) {
	t.Helper()
	if x := o.Results[0]; x.Host != "" || !strings.Contains(x.Reply.Text, host) || o.Event.Host != host {
		t.Errorf("it reads as if %q had said %q; the event is about %q", x.Host, x.Reply, o.Event.Host)
	}
}

// TestUTF8RecipientsAlone: those who can be served without SMTPUTF8 are.
func TestUTF8RecipientsAlone(t *testing.T) {
	p := peer(t, nil)
	a := message(hello, "jürgen@example.net", "2@example.net")
	a.Envelope.SMTPUTF8 = true
	o := send(t, mx(hop("mx.example.net", p.Addr())), a)
	if o.Results[0].Verdict != queue.Bounce || o.Results[1].Verdict != queue.Success {
		t.Errorf("outcome: %+v", o)
	}
	ours(t, o, "mx.example.net")
	if m := p.Await(t, 1)[0]; len(m.To) != 1 || m.To[0] != "2@example.net" {
		t.Errorf("sent to %v", m.To)
	}
	a = message(hello, "jürgen@example.net")
	a.Envelope.SMTPUTF8 = true
	if o := send(t, mx(hop("mx.example.net", p.Addr())), a); o.Results[0].Verdict != queue.Bounce || p.Steps(smtptest.Mail) != 1 {
		t.Errorf("outcome where nobody is left: %+v", o)
	}
}

// TestAnotherHostMayTakeAll: what one host lacks decides about nobody, if that host then
// takes nothing.
func TestAnotherHostMayTakeAll(t *testing.T) {
	for name, keywords := range map[string][]string{"SMTPUTF8": nil, "room": {"LIMITS RCPTMAX=1", "SMTPUTF8"}} {
		for how, script := range map[string]on{
			"says 451":         {smtptest.Mail: say("451 4.3.0 later")},
			"hangs up at MAIL": {smtptest.Mail: shut},
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				without := peer(t, script, keywords...)
				all := peer(t, nil, modern...)
				a := message(hello, "1@example.net", "dörte@example.net")
				a.Envelope.SMTPUTF8 = true
				o := send(t, mx(hop("a.example.net", without.Addr()), hop("b.example.net", all.Addr())), a)
				if !slices.Equal(verdicts(o), []queue.Verdict{queue.Success, queue.Success}) {
					t.Errorf("outcome with a host that takes it all: %+v", o)
				}
				o = send(t, mx(hop("a.example.net", without.Addr())), a)
				if !slices.Equal(verdicts(o), []queue.Verdict{queue.Defer, queue.Defer}) {
					t.Errorf("outcome without one: %+v", o)
				}
			})
		}
	}
}
