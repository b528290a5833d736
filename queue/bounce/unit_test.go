package bounce

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

func TestStatus(t *testing.T) {
	code := func(s string) (c mail.EnhancedCode) {
		_, _ = fmt.Sscanf(s, "%d.%d.%d", &c[0], &c[1], &c[2])
		return c
	}
	tests := []struct {
		kind     Kind
		given    string
		code     int
		enhanced string
		want     string
		why      string
	}{
		{Failed, "5.6.3", 550, "5.1.1", "5.6.3", "the caller knows best"},
		{Failed, "", 550, "5.7.1", "5.7.1", "what the peer says"},
		{Failed, "", 550, "4.7.1", "5.0.0", "the basic code rules"},
		{Failed, "", 550, "", "5.0.0", "550 alone says nothing about the cause"},
		{Failed, "", 552, "", "5.2.2", "552 alone does"},
		{Failed, "", 556, "", "5.1.10", "so does 556"},
		{Failed, "", 599, "", "5.0.0", "an unknown code"},
		{Failed, "", 451, "4.3.0", "4.4.7", "a temporary answer that lasted too long"},
		{Failed, "", 0, "", "4.4.7", "nobody ever answered"},
		{Delayed, "", 451, "", "4.3.0", "a temporary answer"},
		{Delayed, "", 450, "4.2.1", "4.2.1", "with its own status"},
		{Delayed, "", 0, "", "4.4.1", "no answer yet"},
		{Delayed, "", 553, "5.7.1", "4.7.1", "a refusal that is waited out is not final"},
		{Delayed, "", 535, "", "4.7.8", "nor is one without a status"},
		{Delivered, "", 250, "2.1.5", "2.1.5", "success"},
		{Relayed, "", 250, "", "2.0.0", "success without a status"},
		{Delivered, "", 250, "5.0.0", "2.0.0", "the basic code rules here too"},
	}
	for _, tt := range tests {
		r := Recipient{Status: code(tt.given), Reply: mail.Reply{Code: tt.code, Enhanced: code(tt.enhanced)}}
		if got := r.status(tt.kind).String(); got != tt.want {
			t.Errorf("%s, %d %s: %s, want %s: %s", tt.kind, tt.code, tt.enhanced, got, tt.want, tt.why)
		}
	}
}

func TestWhoIsTold(t *testing.T) {
	alice := mail.Path{Address: mail.MustParseAddress("alice@example.com")}
	tests := []struct {
		from    mail.Path
		reports string
		want    string
		why     string
	}{
		{alice, "", "alice@example.com", "the sender"},
		{mail.Path{}, "", "", "a report is never reported about"},
		{alice, "none", "", "a policy wants none"},
		{alice, "bounces@example.com", "bounces@example.com", "a policy wants them elsewhere"},
		{mail.Path{}, "bounces@example.com", "", "nor does a policy change that"},
		{alice, "no address", "alice@example.com", "better the sender than nobody"},
	}
	for _, tt := range tests {
		got, ok := To(&mail.Envelope{From: tt.from, Reports: tt.reports})
		if ok != (tt.want != "") || got.String() != tt.want && ok {
			t.Errorf("%s, %q: %s, %t: %s", tt.from, tt.reports, got, ok, tt.why)
		}
	}
}

func TestWanted(t *testing.T) {
	tests := []struct {
		notify mail.Notify
		want   string // kinds
	}{
		{0, "failed delayed"},
		{mail.NotifyNever, ""},
		{mail.NotifyFailure, "failed"},
		{mail.NotifyDelay, "delayed"},
		{mail.NotifySuccess, "delivered relayed"},
		{mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay, "failed delayed delivered relayed"},
	}
	for _, tt := range tests {
		var got []string
		for _, k := range []Kind{Failed, Delayed, Delivered, Relayed} {
			if k.Wanted(tt.notify) {
				got = append(got, k.String())
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("NOTIFY %b: told of %v, want %s", tt.notify, got, tt.want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                             "less than a minute",
		20 * time.Second:              "less than a minute",
		time.Minute:                   "1 minute",
		90 * time.Second:              "2 minutes",
		4 * time.Hour:                 "4 hours",
		4*time.Hour + 5*time.Minute:   "4 hours",
		24 * time.Hour:                "1 day",
		5*24*time.Hour + 20*time.Hour: "6 days",
	} {
		if got := span(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

func TestXtext(t *testing.T) {
	for in, want := range map[string]string{
		"QQ314159":   "QQ314159",
		"a+b=c":      "a+b=c",
		"a\r\nb+c d": "a+0D+0Ab+2Bc+20d",
		"ü":          "+C3+BC",
	} {
		if got := xtext(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestAddressesInASCIIFields(t *testing.T) {
	// RFC 6533 3: utf-8-addr-xtext, where the part is ASCII.
	got := fields{}.address(`bü=ch+er@example.com`)
	if want := `b\x{FC}\x{3D}ch\x{2B}er@example.com`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestHostsInReports(t *testing.T) {
	for host, want := range map[string]string{
		"mx1.example.net": "dns; mx1.example.net",
		"192.0.2.1":       "dns; [192.0.2.1]",
		"2001:db8::1":     "dns; [IPv6:2001:db8::1]",
	} {
		raw, _ := compose(t, report(rcpt(func(r *Recipient) { r.Host = host })), plainOriginal)
		_, parts := parse(t, raw, 3)
		if got := groups(t, parts[1].body)[1].Get("Remote-MTA"); got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
		if !strings.Contains(parts[0].body, "The mail server "+host+" answered") {
			t.Errorf("people read\n%s", parts[0].body)
		}
	}
}

// TestDifferentFatesAreToldApart: one explanation must do for all addresses above it.
func TestDifferentFatesAreToldApart(t *testing.T) {
	for _, tt := range []struct {
		why    string
		change func(*Recipient)
		times  int // the answer is told
	}{
		{"the same", func(*Recipient) {}, 1},
		{"another host", func(r *Recipient) { r.Host = "mx2.example.net" }, 2},
		{"another answer", func(r *Recipient) { r.Reply.Enhanced = mail.EnhancedCode{4, 2, 2} }, 2},
		{"a refusal of our own", func(r *Recipient) { r.Status = mail.EnhancedCode{5, 4, 6} }, 2},
		{"more attempts", func(r *Recipient) { r.Attempts++ }, 2},
	} {
		r := report(func(r *Report) {
			r.Recipients[0].Reply, r.Recipients[0].Attempts = mail.Reply{Code: 451, Enhanced: mail.EnhancedCode{4, 3, 0}, Text: "not now"}, 34
			r.Recipients = append(r.Recipients, r.Recipients[0])
		})
		tt.change(&r.Recipients[1])
		raw, _ := compose(t, r, plainOriginal)
		_, parts := parse(t, raw, 3)
		if n := strings.Count(parts[0].body, "not now"); n != tt.times {
			t.Errorf("%s: told %d times\n%s", tt.why, n, parts[0].body)
		}
	}
}

func TestReferences(t *testing.T) {
	for _, tt := range []struct {
		id   string
		want bool
		why  string
	}{
		{"<1@example.com>", true, "a Message-ID"},
		{"<" + strings.Repeat("a", maxMessageID-2) + ">", true, "a long one"},
		{"<" + strings.Repeat("a", maxMessageID-1) + ">", false, "one that does not fit a line"},
		{"", false, "none"},
		{"<>", false, "an empty one"},
		{"1@example.com>", false, "it does not begin"},
		{"<1@example.com", false, "it does not end"},
		{"<1@example.com><2@example.com>", false, "two"},
		{"<1@exam ple.com>", false, "a space"},
		{"<1@example.com\r\nBcc: eve@example.org>", false, "a field of its own"},
		{"<ü@example.com>", false, "more than ASCII"},
	} {
		raw, _ := compose(t, report(func(r *Report) { r.Envelope.MessageID = tt.id }), plainOriginal)
		header, _ := parse(t, raw, 3)
		if got := header.Get("In-Reply-To") == tt.id && header.Get("References") == tt.id && tt.id != ""; got != tt.want || header.Has("References") != tt.want {
			t.Errorf("%s: refers to %q", tt.why, header.Get("References"))
		}
	}
}

func TestManyRecipients(t *testing.T) {
	r := report(nil)
	for i := range 5000 {
		rcpt := r.Recipients[0]
		rcpt.Address.Local = fmt.Sprintf("user%d", i)
		rcpt.Reply.Text = fmt.Sprintf("no user%d", i)
		r.Recipients = append(r.Recipients, rcpt)
	}
	raw, _ := compose(t, r, plainOriginal)
	_, parts := parse(t, raw, 3)
	if n := len(groups(t, parts[1].body)); n != 5002 {
		t.Errorf("%d groups of fields", n)
	}
	if !strings.Contains(parts[0].body, "lists 4901 more.") || len(parts[0].body) > 40_000 {
		t.Errorf("the text has %d octets", len(parts[0].body))
	}
}

// broken fails after some octets, as a full disk or a damaged file does.
type broken struct{ left int }

var errBroken = errors.New("broken")

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errBroken
	}
	return len(p), nil
}

func (b *broken) ReadAt(p []byte, off int64) (int, error) {
	if int(off)+len(p) > b.left {
		return 0, errBroken
	}
	copy(p, strings.Repeat("x\r\n", len(p)))
	return len(p), nil
}

func TestErrorsAreTold(t *testing.T) {
	if _, err := report(nil).Compose(&broken{left: 1000}, strings.NewReader(plainOriginal), int64(len(plainOriginal))); !errors.Is(err, errBroken) {
		t.Errorf("a full disk: %v", err)
	}
	if _, err := report(nil).Compose(io.Discard, &broken{}, 100); !errors.Is(err, errBroken) {
		t.Errorf("an unreadable header: %v", err)
	}
	if _, err := report(nil).Compose(io.Discard, &broken{left: maxHeader}, maxHeader+1000); !errors.Is(err, errBroken) {
		t.Errorf("an unreadable end: %v", err)
	}
	for _, n := range []int{1, maxHeader} { // it ends within the header, and behind it
		short := strings.Repeat("x", n) + "\r\n"
		if _, err := report(nil).Compose(io.Discard, strings.NewReader(short), int64(len(short)+1000)); err == nil {
			t.Errorf("content of %d octets, shorter than it says, was taken for whole", len(short))
		}
	}
}
