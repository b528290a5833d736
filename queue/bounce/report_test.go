package bounce

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	arrival = time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)
	now     = time.Date(2026, 11, 20, 9, 31, 5, 0, time.UTC)
	id, _   = mail.ParseID("01KABCDEFGHJKMNPQRSTVWXYZ0")
)

const plainOriginal = "Received: from app (127.0.0.1) by relay.example.com; Fri, 20 Nov 2026 09:30:00 +0000\r\n" +
	"From: Alice <alice@example.com>\r\n" +
	"To: bob@example.net\r\n" +
	"Subject: Invoice\r\n 4711\r\n" +
	"Message-ID: <1@example.com>\r\n" +
	"\r\n" +
	"Dear Bob,\r\n.\r\nplease pay.\r\n"

// report returns a failure of one recipient, to be changed by the test.
func report(change func(*Report)) *Report {
	r := &Report{
		Kind:         Failed,
		ReportingMTA: "relay.example.com",
		Postmaster:   mail.MustParseAddress("postmaster@example.com"),
		Envelope: &mail.Envelope{
			ID: id, Arrival: arrival,
			From:      mail.Path{Address: mail.MustParseAddress("alice@example.com")},
			MessageID: "<1@example.com>",
		},
		Recipients: []Recipient{{
			Recipient:   mail.Recipient{Address: mail.MustParseAddress("bob@example.net")},
			Host:        "mx1.example.net",
			Reply:       mail.Reply{Code: 550, Enhanced: mail.EnhancedCode{5, 1, 1}, Text: "<bob@example.net>: no such user here"},
			LastAttempt: now.Add(-5 * time.Second),
			Attempts:    1,
		}},
		Time:      now,
		MessageID: "<01KABCDEFGHJKMNPQRSTVWXYZ0.failed@relay.example.com>",
	}
	if change != nil {
		change(r)
	}
	return r
}

func compose(t *testing.T, r *Report, original string) (string, *mail.Envelope) {
	t.Helper()
	var b bytes.Buffer
	e, err := r.Compose(&b, strings.NewReader(original), int64(len(original)))
	if err != nil {
		t.Fatal(err)
	}
	if e.Size != int64(b.Len()) {
		t.Errorf("envelope says %d octets, there are %d", e.Size, b.Len())
	}
	return b.String(), e
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".eml")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs from what was written; it is now:\n%s", path, got)
	}
}

// rcpt changes the only recipient of a report.
func rcpt(change func(*Recipient)) func(*Report) {
	return func(r *Report) { change(&r.Recipients[0]) }
}

const utf8Original = "From: Jörg <jörg@example.com>\r\nSubject: Grüße\r\nMessage-ID: <2@example.com>\r\n\r\nHallo Bücher\r\n"

// encodedSubject is the original of a sender without SMTPUTF8.
const encodedSubject = "From: alice@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe_aus_?=\r\n =?utf-8?q?K=C3=B6ln?=\r\n\r\nHallo\r\n"

var reports = []struct {
	name     string
	why      string
	original string
	change   func(*Report)
	body     mail.Body
	utf8     bool // the envelope needs SMTPUTF8
}{
	{"failed", "a host refused the recipient", plainOriginal, nil, mail.Body7Bit, false},
	{"failed_headers", "RET=HDRS, ENVID and ORCPT are honoured", plainOriginal, func(r *Report) {
		r.Envelope.Return = mail.ReturnHeaders
		r.Envelope.EnvelopeID = "QQ314159"
		r.Recipients[0].OriginalType, r.Recipients[0].Original = "rfc822", "Robert@example.org"
	}, mail.Body7Bit, false},
	{"failed_require_tls", "what was to travel under TLS only does not come back in a report that may not", plainOriginal, func(r *Report) {
		r.Envelope.RequireTLS, r.Envelope.Return = true, mail.ReturnFull
		r.Recipients[0].Host = ""
		r.Recipients[0].Reply = mail.Reply{Code: 550, Enhanced: mail.EnhancedCode{5, 7, 30}, Text: "REQUIRETLS support required"}
	}, mail.Body7Bit, false},
	{"failed_several", "what three recipients share is told once", plainOriginal, func(r *Report) {
		r.Recipients[0].Reply = mail.Reply{Code: 554, Text: "no mail from you\nsee https://example.net/why\nor ask us"}
		for _, a := range []string{"carol@example.net", "dave@example.org"} {
			r.Recipients = append(r.Recipients, r.Recipients[0])
			r.Recipients[len(r.Recipients)-1].Address = mail.MustParseAddress(a)
		}
		r.Recipients[2].Host = "mx.example.org"
		r.Recipients[2].Reply = mail.Reply{Code: 552, Enhanced: mail.EnhancedCode{5, 2, 2}, Text: "mailbox full"}
	}, mail.Body7Bit, false},
	{"failed_expired", "time ran out, and nobody ever answered", plainOriginal, func(r *Report) {
		r.Time = arrival.Add(5 * 24 * time.Hour)
		r.Recipients[0].Reply = mail.Reply{}
		r.Recipients[0].Reason = "connect: 192.0.2.1:25: connection refused"
		r.Recipients[0].LastAttempt = r.Time.Add(-20 * time.Minute)
	}, mail.Body7Bit, false},
	{"failed_expired_reply", "time ran out on an answer that asked for patience", plainOriginal, func(r *Report) {
		r.Time = arrival.Add(5 * 24 * time.Hour)
		r.Recipients[0].Reply = mail.Reply{Code: 451, Enhanced: mail.EnhancedCode{4, 3, 0}, Text: "try again later"}
		r.Recipients[0].LastAttempt = r.Time
		r.Recipients[0].Attempts = 34
	}, mail.Body7Bit, false},
	{"failed_expired_full", "time ran out, and the last answer says what to do", plainOriginal, func(r *Report) {
		r.Time = arrival.Add(5 * 24 * time.Hour)
		r.Recipients[0].Reply = mail.Reply{Code: 452, Enhanced: mail.EnhancedCode{4, 2, 2}, Text: "<bob@example.net>: mailbox full"}
		r.Recipients[0].LastAttempt = r.Time
		r.Recipients[0].Attempts = 34
	}, mail.Body7Bit, false},
	{"failed_no_domain", "our own verdict: nobody else was asked", plainOriginal, rcpt(func(r *Recipient) {
		r.Host = ""
		r.Reply = mail.Reply{Code: 550, Enhanced: mail.EnhancedCode{5, 1, 2}, Text: "there is no domain example.net"}
	}), mail.Body7Bit, false},
	{"failed_large", "a large original is not returned, and the text says so", "Subject: big\r\n\r\n" + strings.Repeat("0123456789\r\n", MaxOriginal/12), nil,
		mail.Body7Bit, false},
	{"failed_8bit", "an 8-bit original, and a peer that speaks UTF-8", "Subject: x\r\n\r\nGr\xfc\xdfe\r\n", func(r *Report) {
		r.Envelope.Body, r.Envelope.EightBit = mail.Body8BitMIME, true
		r.Recipients[0].Reply.Text = "Empfänger unbekannt"
	}, mail.Body8BitMIME, false},
	{"failed_encoded_subject", "the subject is shown as it was meant, in a report that stays 7-bit", encodedSubject, nil, mail.Body7Bit, false},
	{"failed_international", "an original that needs SMTPUTF8 (RFC 6533)", utf8Original, func(r *Report) {
		r.Envelope.SMTPUTF8, r.Envelope.EightBit, r.Envelope.Body = true, true, mail.Body8BitMIME
		r.Envelope.From.Address = mail.MustParseAddress("jörg@example.com")
		r.Envelope.MessageID = "<2@example.com>"
		r.Recipients[0].Address = mail.MustParseAddress("bücher@bücher.example")
		r.Recipients[0].OriginalType, r.Recipients[0].Original = "utf-8", "bücher@bücher.example"
		r.Recipients[0].Reply.Text = "Empfänger unbekannt"
	}, mail.Body8BitMIME, true},
	{"failed_binary", "binary content has no form in a report", "Subject: x\r\n\r\n\x00\xff", func(r *Report) {
		r.Envelope.Body, r.Envelope.EightBit = mail.BodyBinaryMIME, true
	}, mail.Body7Bit, false},
	{"failed_elsewhere", "a policy sends reports to an address", plainOriginal, func(r *Report) {
		r.Envelope.Reports = "bounces@example.com"
	}, mail.Body7Bit, false},
	{"delayed", "a warning: no content, and nothing to do", plainOriginal, func(r *Report) {
		r.Kind = Delayed
		r.Time = arrival.Add(4 * time.Hour)
		r.Recipients[0].Reply = mail.Reply{Code: 450, Enhanced: mail.EnhancedCode{4, 7, 1}, Text: "greylisted"}
		r.Recipients[0].RetryUntil = arrival.Add(5 * 24 * time.Hour)
		r.Recipients[0].Attempts = 9
	}, mail.Body7Bit, false},
	{"delivered", "NOTIFY=SUCCESS", plainOriginal, func(r *Report) {
		r.Kind = Delivered
		r.Recipients[0].Reply = mail.Reply{Code: 250, Enhanced: mail.EnhancedCode{2, 0, 0}, Text: "Ok: queued as 4711"}
	}, mail.Body7Bit, false},
	{"relayed", "NOTIFY=SUCCESS, and the next hop knows no DSN", plainOriginal, func(r *Report) {
		r.Kind = Relayed
		r.Recipients[0].Reply = mail.Reply{Code: 250, Text: "Ok"}
	}, mail.Body7Bit, false},
}

func TestReports(t *testing.T) {
	for _, tt := range reports {
		t.Run(tt.name, func(t *testing.T) {
			r := report(tt.change)
			got, e := compose(t, r, tt.original)
			golden(t, tt.name, got)
			to, _ := To(r.Envelope)
			if !e.From.IsNull() || len(e.Recipients) != 1 || e.Recipients[0].Address != to {
				t.Errorf("%s: from %s to %v", tt.why, e.From, e.Recipients)
			}
			if e.Body != tt.body || e.EightBit != (tt.body == mail.Body8BitMIME) || e.SMTPUTF8 != tt.utf8 {
				t.Errorf("%s: body %s, 8-bit %t, SMTPUTF8 %t", tt.why, e.Body, e.EightBit, e.SMTPUTF8)
			}
			if e.RequireTLS != r.Envelope.RequireTLS {
				t.Errorf("%s: REQUIRETLS %t", tt.why, e.RequireTLS)
			}
			if e.MessageID != r.MessageID || !e.Arrival.Equal(r.Time) {
				t.Errorf("%s: envelope %+v", tt.why, e)
			}
			again, _ := compose(t, r, tt.original)
			if again != got {
				t.Errorf("%s: the same report gave other octets", tt.why)
			}
		})
	}
}
