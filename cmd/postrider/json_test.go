package main

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/queue"
)

// Brackets in addresses and replies are what they are, for grep as well.
func TestJSONKeepsBrackets(t *testing.T) {
	var b strings.Builder
	l := newListing(&b, true)
	e := queue.Entry{From: "<>", To: []queue.EntryRecipient{{Address: "a@example.com", Reason: "550 5.1.1 <a@example.com>: no such user"}}}
	if err := l.entry(&e); err != nil {
		t.Fatal(err)
	}
	if err := l.w.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"from":"<>"`, `"reason":"550 5.1.1 <a@example.com>: no such user"`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s in %s", want, b.String())
		}
	}
}
