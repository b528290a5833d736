package bounce

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-message"
	_ "github.com/emersion/go-message/charset"

	"github.com/postrider/postrider/internal/mail"
)

// part is a part of a report as a mail program sees it: decoded.
type part struct {
	kind string
	body string
}

// parse reads a report of so many parts with a library that is not ours and checks
// what holds for each of them.
func parse(t testing.TB, raw string, count int) (header message.Header, parts []part) {
	t.Helper()
	for line := range strings.SplitSeq(raw, "\r\n") {
		if strings.ContainsAny(line, "\r\n") {
			t.Fatalf("a bare CR or LF in %q", line)
		}
		if len(line) > 998 {
			t.Fatalf("a line of %d octets: %.80q", len(line), line)
		}
	}
	entity, err := message.Read(strings.NewReader(raw))
	if err != nil {
		t.Fatalf("no mail: %v", err)
	}
	kind, params, err := entity.Header.ContentType()
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("content type %s %v, %v", kind, params, err)
	}
	reader := entity.MultipartReader()
	for {
		p, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("part %d: %v", len(parts), err)
		}
		body, err := io.ReadAll(p.Body)
		if err != nil {
			t.Fatalf("part %d: %v", len(parts), err)
		}
		kind, _, err := p.Header.ContentType()
		if err != nil {
			t.Fatalf("part %d: %v", len(parts), err)
		}
		parts = append(parts, part{kind, string(body)})
	}
	if len(parts) != count {
		t.Fatalf("%d parts, want %d:\n%s", len(parts), count, raw)
	}
	return entity.Header, parts
}

// groups reads the machine-readable part.
func groups(t testing.TB, body string) []textproto.MIMEHeader {
	t.Helper()
	var list []textproto.MIMEHeader
	reader := textproto.NewReader(bufio.NewReader(strings.NewReader(strings.TrimRight(body, "\r\n") + "\r\n\r\n")))
	for {
		group, err := reader.ReadMIMEHeader()
		if len(group) > 0 {
			list = append(list, group)
		}
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("delivery-status: %v in\n%s", err, body)
		}
	}
}

func TestReportsAreRead(t *testing.T) {
	for _, tt := range reports {
		t.Run(tt.name, func(t *testing.T) {
			r := report(tt.change)
			raw, e := compose(t, r, tt.original)
			header, parts := parse(t, raw, 3)
			if got, err := header.Text("Subject"); err != nil || !strings.HasPrefix(got, "Mail to ") {
				t.Errorf("subject %q, %v", got, err)
			}
			if header.Get("Auto-Submitted") != "auto-replied" {
				t.Error("nothing stops vacation programs from answering")
			}
			if parts[0].kind != "text/plain" {
				t.Errorf("the first part is %s", parts[0].kind)
			}
			for _, rcpt := range r.Recipients {
				if !strings.Contains(parts[0].body, rcpt.Address.Local+"@"+rcpt.Address.Domain.Unicode()) {
					t.Errorf("people don't find %s in\n%s", rcpt.Address, parts[0].body)
				}
			}
			list := groups(t, parts[1].body)
			if len(list) != 1+len(r.Recipients) {
				t.Fatalf("%d groups of fields for %d recipients", len(list), len(r.Recipients))
			}
			if got := list[0].Get("Reporting-MTA"); got != "dns; relay.example.com" {
				t.Errorf("Reporting-MTA %q", got)
			}
			for i, group := range list[1:] {
				if got := group.Get("Action"); got != r.Kind.String() {
					t.Errorf("recipient %d: action %q", i, got)
				}
				if got := group.Get("Status"); len(got) < 5 || got[1] != '.' {
					t.Errorf("recipient %d: status %q", i, got)
				}
				kind, final, _ := strings.Cut(group.Get("Final-Recipient"), "; ")
				if a, err := mail.ParseAddress(final); err != nil || a != r.Recipients[i].Address || (kind == "utf-8") != a.NeedsUTF8() {
					t.Errorf("recipient %d: %q", i, group.Get("Final-Recipient"))
				}
			}
			checkOriginal(t, r, e, parts[2], tt.original)
		})
	}
}

// TestWithoutTheMessage: what can't be read is missing, and not an empty message.
func TestWithoutTheMessage(t *testing.T) {
	var b bytes.Buffer
	if _, err := report(nil).Compose(&b, nil, 0); err != nil {
		t.Fatal(err)
	}
	_, parts := parse(t, b.String(), 2)
	if parts[1].kind != "message/delivery-status" || !strings.Contains(parts[0].body, "Your message could not be read") {
		t.Errorf("%s after\n%s", parts[1].kind, parts[0].body)
	}
	if n := len(groups(t, parts[1].body)); n != 2 {
		t.Errorf("%d groups of fields", n)
	}
}

// checkOriginal checks that what came back is octet for octet what was sent.
func checkOriginal(t *testing.T, r *Report, e *mail.Envelope, got part, original string) {
	t.Helper()
	want := original
	whole := r.Kind == Failed && r.Envelope.Return != mail.ReturnHeaders && !r.Envelope.RequireTLS &&
		len(original) <= MaxOriginal && r.Envelope.Body != mail.BodyBinaryMIME
	if !whole {
		want = original[:strings.Index(original, "\r\n\r\n")+2]
	}
	if got.body != want {
		t.Errorf("came back: %q, want %q", got.body, want)
	}
	kinds := map[[2]bool]string{
		{true, false}:  "message/rfc822",
		{false, false}: "text/rfc822-headers",
		{true, true}:   "message/global",
		{false, true}:  "message/global-headers",
	}
	if want := kinds[[2]bool{whole, e.SMTPUTF8}]; got.kind != want {
		t.Errorf("the original is %s, want %s", got.kind, want)
	}
}

// evil is what a peer or a sender may write to look like us.
const evil = "x\r\nStatus: 2.0.0\r\n\r\nFinal-Recipient: rfc822; eve@example.org\r\n\r\n--=_19ca54c59911580b77cf016c5f892dad\r\nBcc: eve@example.org\n\nbare\rlast\x00\x1b[31m\u202eflip\xff"

func TestNothingIsInjected(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Report)
	}{
		{"reply", rcpt(func(r *Recipient) { r.Reply.Text = evil })},
		{"host", rcpt(func(r *Recipient) { r.Host = evil })},
		{"reason", rcpt(func(r *Recipient) { r.Reply, r.Reason = mail.Reply{}, evil })},
		{"long reply", rcpt(func(r *Recipient) { r.Reply.Text = strings.Repeat(evil+"\n"+strings.Repeat("a", 5000), 100) })},
		{"ENVID", func(r *Report) { r.Envelope.EnvelopeID = evil }},
		{"ORCPT", rcpt(func(r *Recipient) { r.OriginalType, r.Original = evil, evil })},
		{"Message-ID", func(r *Report) { r.Envelope.MessageID = "<" + evil + ">" }},
		{"subject", nil},
		{"local part", rcpt(func(r *Recipient) { r.Address.Local = "a \"b\\c\r\nd" })},
		{"everything in UTF-8", func(r *Report) {
			r.Envelope.SMTPUTF8 = true
			r.Recipients[0].Reply.Text = evil
			r.Recipients[0].Original = evil
			r.Envelope.EnvelopeID = evil
		}},
	}
	original := "Subject: =?utf-8?q?a=0D=0A=0D=0A--x=0D=0AStatus:_2.0.0?=\r\n\r\nhello\r\n"
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw, _ := compose(t, report(tt.change), original)
			header, parts := parse(t, raw, 3)
			if header.Has("Bcc") || header.Has("Status") {
				t.Errorf("a field of somebody else's in the header:\n%s", raw)
			}
			checkFields(t, groups(t, parts[1].body))
			if strings.ContainsAny(parts[0].body, "\x00\x1b\u202e") {
				t.Errorf("controls in the text: %q", parts[0].body)
			}
		})
	}
}

// checkFields checks that the groups hold each field once and no other.
func checkFields(t testing.TB, list []textproto.MIMEHeader) {
	t.Helper()
	if len(list) != 2 {
		t.Fatalf("%d groups of fields, want 2: %v", len(list), list)
	}
	known := []string{"Reporting-Mta", "Original-Envelope-Id", "Arrival-Date", "X-Postrider-Queue-Id", "Original-Recipient",
		"Final-Recipient", "Action", "Status", "Remote-Mta", "Diagnostic-Code", "Last-Attempt-Date", "Will-Retry-Until"}
	for _, group := range list {
		for name, values := range group {
			if len(values) != 1 || !slices.Contains(known, name) {
				t.Errorf("field %s: %q", name, values)
			}
		}
	}
	if got := list[1].Get("Action"); got != "failed" {
		t.Errorf("action %q", got)
	}
	if got := list[1].Get("Status"); got[0] != '5' && got != "4.4.7" {
		t.Errorf("status %q", got)
	}
}

func FuzzReport(f *testing.F) {
	f.Add("no such user", "mx.example.net", "QQ1", "rfc822", "bob@example.net", "<1@example.com>", plainOriginal, false)
	f.Add(evil, evil, evil, evil, evil, evil, evil, true)
	f.Fuzz(func(t *testing.T, text, host, envid, kind, orcpt, messageID, original string, utf8 bool) {
		if strings.Contains(original, "\n--=_") || strings.HasPrefix(original, "--=_") {
			return // nobody can know the boundary
		}
		r := report(func(r *Report) {
			r.Recipients[0].Reply.Text, r.Recipients[0].Host = text, host
			r.Recipients[0].OriginalType, r.Recipients[0].Original = kind, orcpt
			r.Envelope.EnvelopeID, r.Envelope.MessageID, r.Envelope.SMTPUTF8 = envid, messageID, utf8
		})
		// The original is clean where it matters here: submission saw to that.
		original = strings.NewReplacer("\r", "", "\n", "").Replace(original)
		if len(original) > 900 {
			original = original[:900]
		}
		var b bytes.Buffer
		if _, err := r.Compose(&b, strings.NewReader(original), int64(len(original))); err != nil {
			t.Fatal(err)
		}
		_, parts := parse(t, b.String(), 3)
		checkFields(t, groups(t, parts[1].body))
	})
}
