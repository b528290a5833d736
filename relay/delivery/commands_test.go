package delivery

import (
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// TestDSNIsPassedOn: to a host that knows it everything goes on, and with it the
// duty to report; to another nothing does.
func TestDSNIsPassedOn(t *testing.T) {
	for _, knows := range []bool{true, false} {
		keywords := []string{"PIPELINING"}
		if knows {
			keywords = append(keywords, "dsn")
		}
		p := peer(t, nil, keywords...)
		a := message(hello, "1@example.net", "2@example.net", "3@example.net", "4@example.net")
		e := a.Envelope
		e.Return, e.EnvelopeID = mail.ReturnHeaders, "QQ 3+4=7"
		e.Recipients[0].Notify = mail.NotifySuccess | mail.NotifyDelay
		e.Recipients[0].OriginalType, e.Recipients[0].Original = "rfc822", "a b@example.net"
		e.Recipients[1].Notify = mail.NotifyNever
		e.Recipients[2].OriginalType, e.Recipients[2].Original = "utf-8", "jürgen+x@example.net"
		o := send(t, mx(hop("mx.example.net", p.Addr())), a)
		m := p.Await(t, 1)[0]
		wantMail := "MAIL FROM:<sender@example.org>"
		wantRcpt := []string{"RCPT TO:<1@example.net>", "RCPT TO:<2@example.net>", "RCPT TO:<3@example.net>", "RCPT TO:<4@example.net>"}
		if knows {
			wantMail += " RET=HDRS ENVID=QQ+203+2B4+3D7"
			wantRcpt[0] += " NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+20b@example.net"
			wantRcpt[1] += " NOTIFY=NEVER"
			wantRcpt[2] += ` ORCPT=utf-8;j\x{FC}rgen\x{2B}x@example.net`
		}
		if m.Mail != wantMail || !slices.Equal(m.Rcpt, wantRcpt) {
			t.Errorf("knows DSN: %v\n%s\n%s", knows, m.Mail, strings.Join(m.Rcpt, "\n"))
		}
		for _, r := range o.Results {
			if r.Verdict != queue.Success || r.Relayed != knows {
				t.Errorf("knows DSN: %v: %+v", knows, r)
			}
		}
	}
}

// TestPaths: addresses leave as they must be written, quoted where they need it.
func TestPaths(t *testing.T) {
	p := peer(t, nil, "8BITMIME", "SMTPUTF8")
	a := message(hello, `"a b"@example.net`, `"q\"x"@example.net`, "jürgen@bücher.example")
	a.Envelope.From = mail.Path{}
	a.Envelope.SMTPUTF8 = true
	r := smarthost(config.Route{}, hop("mx.example.net", p.Addr()))
	if o := send(t, r, a); o.Results[0].Verdict != queue.Success {
		t.Fatalf("outcome: %+v", o)
	}
	m := p.Await(t, 1)[0]
	want := []string{`RCPT TO:<"a b"@example.net>`, `RCPT TO:<"q\"x"@example.net>`, "RCPT TO:<jürgen@xn--bcher-kva.example>"}
	if m.Mail != "MAIL FROM:<> SMTPUTF8" || !slices.Equal(m.Rcpt, want) {
		t.Errorf("%s\n%s", m.Mail, strings.Join(m.Rcpt, "\n"))
	}
}

func TestKeywords(t *testing.T) {
	got := parseKeywords("mx.example.net pipelining\nPipelining\nsize 1000\nAUTH plain LOGIN\nAUTH=LOGIN CRAM-MD5\nstarttls\n8bitmime\nsmtpUTF8\nchunking\ndsn\nbinarymime\nrequiretls\nLIMITS RCPTMAX=7 MAILMAX=3\nXUNKNOWN\n\n")
	want := keywords{
		pipelining: true, chunking: true, binaryMIME: true, eightBit: true, utf8: true, dsn: true,
		startTLS: true, requireTLS: true, size: true, maxSize: 1000, recipients: 7,
		auth: []string{"PLAIN", "LOGIN", "CRAM-MD5"},
	}
	if !slices.Equal(got.auth, want.auth) {
		t.Errorf("AUTH %v", got.auth)
	}
	got.auth, want.auth = nil, nil
	if got.pipelining != want.pipelining || got.maxSize != want.maxSize || got.recipients != want.recipients ||
		!got.chunking || !got.binaryMIME || !got.eightBit || !got.utf8 || !got.dsn || !got.startTLS || !got.requireTLS || !got.size {
		t.Errorf("got %+v", got)
	}
	if k := parseKeywords("mx.example.net PIPELINING"); k.pipelining {
		t.Error("the greeting was read as a keyword")
	}
	if k := parseKeywords("x\nSIZE -1\nLIMITS RCPTMAX=0"); k.maxSize != 0 || k.recipients != 0 || !k.size {
		t.Errorf("senseless limits: %+v", k)
	}
}

func FuzzKeywords(f *testing.F) {
	f.Add("mx\nPIPELINING\nSIZE 10\nAUTH=PLAIN")
	f.Add("mx\nSIZE 99999999999999999999\nLIMITS RCPTMAX=")
	f.Fuzz(func(t *testing.T, text string) {
		if k := parseKeywords(text); k.maxSize < 0 || k.recipients < 0 {
			t.Errorf("%+v", k)
		}
	})
}
