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

func TestFailed(t *testing.T) {
	got, e := compose(t, report(nil), plainOriginal)
	golden(t, "failed", got)
	if !e.From.IsNull() || len(e.Recipients) != 1 || e.Recipients[0].Address.String() != "alice@example.com" {
		t.Errorf("envelope %+v", e)
	}
}
