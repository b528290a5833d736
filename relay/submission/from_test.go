package submission

import (
	"slices"
	"testing"

	"github.com/postrider/postrider/internal/mail"
)

// TestFrom: every address a reader might see is found, and what can't be read
// has no domain that a sender pattern could fit.
func TestFrom(t *testing.T) {
	for _, row := range []struct {
		why, value string
		want       []string // as Address.String; "?" for what is no address
	}{
		{"an address alone", " a@example.com\r\n", []string{"a@example.com"}},
		{"in angle brackets", " <a@example.com>", []string{"a@example.com"}},
		{"with a name", ` A B <a@example.com>`, []string{"a@example.com"}},
		{"with a quoted name", ` "B, A <x@y.example>" <a@example.com>`, []string{"a@example.com"}},
		{"with an escaped quote in the name", ` "B\", <x@y.example>" <a@example.com>`, []string{"a@example.com"}},
		{"with an encoded name", " =?utf-8?q?B=C3=A9?= <a@example.com>", []string{"a@example.com"}},
		{"a comment", " a@example.com (b@example.net)", []string{"a@example.com"}},
		{"nested comments", " (x (y, <z@z>) \\) ) a@example.com", []string{"a@example.com"}},
		{"several", " a@example.com, B <b@example.com>", []string{"a@example.com", "b@example.com"}},
		{"folded", " A\r\n <a@example.com>,\r\n\tb@example.com\r\n", []string{"a@example.com", "b@example.com"}},
		{"a group", " Team: a@example.com, b@example.com;", []string{"a@example.com", "b@example.com"}},
		{"an empty group", " Nobody:;", nil},
		{"nothing", " \r\n", nil},
		{"a quoted local part", ` "a b"@example.com`, []string{`"a b"@example.com`}},
		{"white space around the dots and the at sign", " a . b @ example . com", []string{"a.b@example.com"}},
		{"an obsolete route", " <@x.example,@y.example:a@example.com>", []string{"a@example.com"}},
		{"an address literal", " a@[IPv6:::1]", []string{"a@[IPv6:::1]"}},
		{"a U-label", " a@b\xc3\xbccher.example", []string{"a@xn--bcher-kva.example"}},
		{"capitals in the domain", " a@EXAMPLE.com", []string{"a@example.com"}},
		{"no domain", " root (Cron Daemon)", []string{"?"}},
		{"two words", " a b@example.com", []string{"?"}},
		{"two addresses without a comma", " a@example.com b@example.com", []string{"?"}},
		{"two pairs of brackets", " <a@example.com> <b@example.com>", []string{"?"}},
		{"an address in front of the brackets is an author too", " b@example.net <a@example.com>", []string{"b@example.net", "a@example.com"}},
		{"among other words", " The Boss b@example.net <a@example.com>", []string{"b@example.net", "a@example.com"}},
		{"two of them", " b@example.net c@example.net <a@example.com>", []string{"?", "a@example.com"}},
		{"with space around its at sign", " b @ example.net <a@example.com>", []string{"?", "a@example.com"}},
		{"in quotes it is a name", ` "b@example.net" <a@example.com>`, []string{"a@example.com"}},
		{"in quotes before what belongs in no name", ` "b@example.net"> <a@example.com>`, []string{"?", "a@example.com"}},
		{"a bracket of a literal", ` "b@example.net"] <a@example.com>`, []string{"?", "a@example.com"}},
		{"the other one", ` [ "b@example.net" <a@example.com>`, []string{"?", "a@example.com"}},
		{"a comment's end without a beginning", ` "b@example.net") <a@example.com>`, []string{"?", "a@example.com"}},
		{"a backslash out of quotes", ` \"b@example.net" <a@example.com>`, []string{"?", "a@example.com"}},
		{"encoded before what belongs in no name", ` =?utf-8?q?b=40example.net?= x] <a@example.com>`, []string{"?", "a@example.com"}},
		{"in quotes behind one out of them", ` c@example.com "b@example.net" <a@example.com>`, []string{"?", "a@example.com"}},
		{"in quotes for the name of a group", ` "b@example.net": a@example.com;`, []string{"?", "a@example.com"}},
		{"the same for the name of a group", ` "b@example.net"]: a@example.com;`, []string{"?", "a@example.com"}},
		{"brackets in a name without an address", ` [JIRA] =?utf-8?q?B=C3=A9?=) <a@example.com>`, []string{"a@example.com"}},
		{"and in a comment", " (b@example.net) A <a@example.com>", []string{"a@example.com"}},
		{"an address for the name of a group", " b@example.net: a@example.com;", []string{"b@example.net", "a@example.com"}},
		{"something behind the brackets", " <a@example.com> b", []string{"?"}},
		{"a bracket without end", " <a@example.com", []string{"a@example.com"}},
		{"a quote without end", ` "a <b@example.com>`, []string{"?"}},
		{"a comment without end", " a@example.com (b", []string{"a@example.com"}},
		{"elements that are empty", " , a@example.com,,", []string{"a@example.com"}},
		{"one that is no address beside one that is", " a@example.com, root", []string{"a@example.com", "?"}},
	} {
		t.Run(row.why, func(t *testing.T) {
			var got []string
			for _, a := range appendFrom(nil, row.value) {
				if a.Domain.IsZero() {
					got = append(got, "?")
				} else {
					got = append(got, a.String())
				}
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("%q: got %q, want %q", row.value, got, row.want)
			}
		})
	}
}

func FuzzFrom(f *testing.F) {
	for _, s := range []string{` "a, b" <c@d.example>, (x) e@f`, "g: a@b, c@d;", "<@a:b@c>", `"\`, "(((", "a@[", "\x00<>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list := appendFrom(nil, s)
		if len(list) > maxFrom+2 {
			t.Fatalf("%d addresses", len(list))
		}
		for _, a := range list {
			if a.Domain.IsZero() {
				continue
			}
			if again, err := mail.ParseAddress(a.String()); err != nil || again != a {
				t.Fatalf("%q is found in %q and is no address: %v", a, s, err)
			}
		}
	})
}
