package main

import (
	"fmt"
	"strings"
	"testing"

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
