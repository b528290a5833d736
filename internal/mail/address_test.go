package mail

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	long := strings.Repeat("x", 64)
	for _, row := range []struct {
		reason, in string
		local, out string // what is meant, and how it is written
	}{
		{"plain", "alice@example.com", "alice", "alice@example.com"},
		{"case of the local part is kept, the domain's not", "Alice@EXAMPLE.com", "Alice", "Alice@example.com"},
		{"dots", "a.b.c@example.com", "a.b.c", "a.b.c@example.com"},
		{"every atext", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~", "!#$%&'*+-/=?^_`{|}~@example.com"},
		{"quotes without need", `"alice"@example.com`, "alice", "alice@example.com"},
		{"a quoted space", `"a b"@example.com`, "a b", `"a b"@example.com`},
		{"a quoted at sign", `"a@b"@example.com`, "a@b", `"a@b"@example.com`},
		{"a quoted quote", `"a\"b"@example.com`, `a"b`, `"a\"b"@example.com`},
		{"a quoted backslash", `"a\\b"@example.com`, `a\b`, `"a\\b"@example.com`},
		{"a quoted letter", `"\a"@example.com`, "a", "a@example.com"},
		{"two dots, quoted", `"a..b"@example.com`, "a..b", `"a..b"@example.com`},
		{"empty, quoted", `""@example.com`, "", `""@example.com`},
		{"UTF-8", "m\u00fcller@example.com", "m\u00fcller", "m\u00fcller@example.com"},
		{"UTF-8, quoted", "\"m\u00fcller x\"@example.com", "m\u00fcller x", "\"m\u00fcller x\"@example.com"},
		{"UTF-8 that begins as C1 controls do", "a\u00a0@example.com", "a\u00a0", "a\u00a0@example.com"},
		{"a U-label", "a@B\u00fccher.example", "a", "a@xn--bcher-kva.example"},
		{"an IPv4 literal", "a@[192.0.2.1]", "a", "a@[192.0.2.1]"},
		{"an IPv6 literal", "a@[ipv6:2001:DB8::0:1]", "a", "a@[IPv6:2001:db8::1]"},
		{"postmaster of wherever this is", "Postmaster", "Postmaster", "Postmaster"},
		{"64 octets of local part", long + "@example.com", long, long + "@example.com"},
		{"percent hack: it is a local part", "a%b@example.com", "a%b", "a%b@example.com"},
	} {
		a, err := ParseAddress(row.in)
		if err != nil || a.Local != row.local || a.String() != row.out {
			t.Errorf("%s: %s is %q, written %s, %v", row.reason, row.in, a.Local, a, err)
		}
		if again, err := ParseAddress(a.String()); again != a || err != nil {
			t.Errorf("%s: read again it is %#v, %v", row.reason, again, err)
		}
	}
}

func TestParseAddressRefuses(t *testing.T) {
	for _, row := range []struct {
		reason, in string
		want       error
	}{
		{"nothing", "", ErrSyntax},
		{"no domain", "alice", ErrNoDomain},
		{"an empty domain", "alice@", ErrBadDomain},
		{"no local part", "@example.com", ErrSyntax},
		{"a dot in front", ".a@example.com", ErrSyntax},
		{"a dot behind", "a.@example.com", ErrSyntax},
		{"two dots", "a..b@example.com", ErrSyntax},
		{"a space", "a b@example.com", ErrSyntax},
		{"a space around", " a@example.com", ErrSyntax},
		{"angle brackets", "<a@example.com>", ErrSyntax},
		{"two at signs", "a@b@example.com", ErrBadDomain},
		{"a comma", "a,b@example.com", ErrSyntax},
		{"CR LF", "a\r\nRCPT TO:<b@example.com>", ErrSyntax},
		{"NUL", "a\x00@example.com", ErrSyntax},
		{"NUL, quoted", "\"a\x00\"@example.com", ErrSyntax},
		{"LF, quoted", "\"a\nb\"@example.com", ErrSyntax},
		{"LF, quoted twice", "\"a\\\nb\"@example.com", ErrSyntax},
		{"DEL, quoted", "\"a\x7f\"@example.com", ErrSyntax},
		{"an open quote", `"a@example.com`, ErrSyntax},
		{"an open escape", `"a\`, ErrSyntax},
		{"something behind the quote", `"a"b@example.com`, ErrSyntax},
		{"Latin-1", "m\xfcller@example.com", ErrSyntax},
		{"Latin-1, quoted", "\"m\xfcller\"@example.com", ErrSyntax},
		{"a C1 control, in UTF-8", "a\u009b31m@example.com", ErrSyntax},
		{"a C1 control, quoted", "\"a \u0080\"@example.com", ErrSyntax},
		{"an escaped UTF-8 octet", "\"\\\u00fc\"@example.com", ErrSyntax},
		{"65 octets of local part", strings.Repeat("x", 65) + "@example.com", ErrLocalLength},
		{"more than fits a path", "a@" + strings.Repeat("a.", 126) + "a", ErrPathLength},
		{"more than fits a path as A-labels", strings.Repeat("x", 64) + "@" + strings.Repeat("\u00fc.", 22) + strings.Repeat("a", 60) + ".de", ErrPathLength},
		{"a literal of letters", "a@[example.com]", ErrBadDomain},
		{"an open literal", "a@[192.0.2.1", ErrBadDomain},
		{"a literal of five numbers", "a@[192.0.2.1.5]", ErrBadDomain},
		{"IPv4 said to be IPv6", "a@[IPv6:192.0.2.1]", ErrBadDomain},
		{"IPv6 not said to be", "a@[2001:db8::1]", ErrBadDomain},
		{"a zone", "a@[IPv6:fe80::1%eth0]", ErrBadDomain},
	} {
		if a, err := ParseAddress(row.in); !errors.Is(err, row.want) || !a.IsZero() {
			t.Errorf("%s: got %q, %v, want %v", row.reason, a, err, row.want)
		}
	}
}

func TestNeedsUTF8(t *testing.T) {
	for in, want := range map[string]bool{
		"a@example.com": false, "m\u00fcller@example.com": true,
		"a@b\u00fccher.example": false, // travels as an A-label
	} {
		if got := MustParseAddress(in).NeedsUTF8(); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestAddressesInJSON(t *testing.T) {
	type record struct {
		From Path
		To   []Address
		At   Domain
	}
	for _, r := range []record{
		{Path{MustParseAddress(`"a b"@b.example`)}, []Address{MustParseAddress("m\u00fcller@x.example")}, MustParseDomain("x.example")},
		{}, // the null reverse-path
	} {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again record
		if err := json.Unmarshal(b, &again); err != nil {
			t.Errorf("%s: %v", b, err)
		} else if c, _ := json.Marshal(again); string(c) != string(b) || again.From != r.From {
			t.Errorf("%s became %s", b, c)
		}
	}
	var a Address
	if err := json.Unmarshal([]byte(`"a b@x"`), &a); err == nil {
		t.Errorf("read %v", a)
	}
	if s := (Address{}).String(); s != "" {
		t.Errorf("no address is written %s", s)
	}
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{"a@b.c", `"a\"b"@c.d`, "a@[IPv6:::1]", "postmaster", "\u00fc@\u00fc.de", "a@\uff45x.de", "a..b@c", `""@x`, "a@xn--a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			if !a.IsZero() {
				t.Errorf("%q: an address and an error", s)
			}
			return
		}
		out := a.String()
		if again, err := ParseAddress(out); err != nil || again != a {
			t.Errorf("%q is written %q, read again %#v, %v", s, out, again, err)
		}
		if strings.ContainsAny(out, "\r\n\x00") {
			t.Errorf("%q holds a line break", out)
		}
		p, err := ParsePath("<" + out + ">")
		if err != nil || p.Address != a {
			t.Errorf("%q in a path is %#v, %v", out, p, err)
		}
	})
}
