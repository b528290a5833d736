package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/relay/admin"
)

// TestShowOfManyRecipients: a list goes to a thousand, and still fits a terminal.
func TestShowOfManyRecipients(t *testing.T) {
	var m admin.Message
	for i := range 1000 {
		m.To = append(m.To, fmt.Sprintf("user%d@example.com", i))
	}
	var out strings.Builder
	if err := printMessage(&out, &m); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > 300 {
			t.Errorf("a line of %d octets: %.100s...", len(line), line)
		}
	}
	if !strings.Contains(out.String(), "user9@example.com and 990 more\n") {
		t.Errorf("the recipients are not counted:\n%s", out.String())
	}
}

// TestNothingMovesTheCursor: what strangers said is shown, and obeyed by no terminal.
func TestNothingMovesTheCursor(t *testing.T) {
	const hostile = "a\u009b2J\x1b[31m\u0085z"
	entry := queue.Entry{From: hostile, State: queue.Deferred, InDoubt: hostile, To: []queue.EntryRecipient{
		{Address: hostile, Host: hostile, Reason: hostile, State: queue.Deferred}}}
	for name, print := range map[string]func(io.Writer) error{
		"list": func(w io.Writer) error {
			l := newListing(w, false)
			return errors.Join(l.entry(&entry), l.end())
		},
		"show": func(w io.Writer) error {
			return printMessage(w, &admin.Message{From: hostile, To: []string{hostile}, Identity: hostile, MessageID: hostile,
				Helo: hostile, Deliveries: []queue.Entry{entry}})
		},
		"stats": func(w io.Writer) error {
			return printStats(w, &admin.Stats{Destinations: []queue.DestinationStatus{
				{Destination: "mx/a.example", Status: queue.Down, Host: hostile, Reason: hostile}}}, 5, time.Now())
		},
		"explain": func(w io.Writer) error {
			return printExplanation(w, &admin.Explanation{Steps: []admin.ExplanationStep{{What: hostile, Result: hostile}},
				Fault: hostile, Probe: &admin.ExplanationProbe{Host: hostile, Reply: hostile}})
		},
	} {
		var out strings.Builder
		if err := print(&out); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), "a?2J?[31m?z") {
			t.Errorf("%s: it is not shown at all:\n%s", name, out.String())
		}
		for _, r := range strings.ReplaceAll(out.String(), "\n", "") {
			if unicode.IsControl(r) {
				t.Errorf("%s: %U is printed", name, r)
			}
		}
	}
}

// TestFaultsOfARoute: whether mail goes back or waits is said, whatever the fault's words.
func TestFaultsOfARoute(t *testing.T) {
	for _, row := range []struct {
		x    admin.Explanation
		want string
	}{
		{admin.Explanation{Fault: "5 hosts, and no answer"}, "mail would wait"},
		{admin.Explanation{Fault: "the domain takes no mail", Returned: true}, "mail would be returned to its sender"},
	} {
		var out strings.Builder
		if err := printExplanation(&out, &row.x); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), row.want) {
			t.Errorf("%+v: %s", row.x, out.String())
		}
	}
}
