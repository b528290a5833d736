package mail

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseDomain(t *testing.T) {
	label := strings.Repeat("a", 63)
	longest := strings.Repeat(label+".", 3) + strings.Repeat("a", 61)
	for _, row := range []struct{ reason, in, want string }{
		{"plain", "example.com", "example.com"},
		{"case", "EXAMPLE.Com", "example.com"},
		{"one label", "localhost", "localhost"},
		{"digits", "1.2.example", "1.2.example"},
		{"underscores receive mail too", "_x.example.com", "_x.example.com"},
		{"hyphens inside", "a--b.example", "a--b.example"},
		{"U-labels (RFC 5890)", "B\u00fccher.example", "xn--bcher-kva.example"},
		{"A-labels in capitals", "XN--BCHER-KVA.example", "xn--bcher-kva.example"},
		{"sharp s is a letter of its own (RFC 5892)", "stra\u00dfe.de", "xn--strae-oqa.de"},
		{"decomposed letters", "bu\u0308cher.example", "xn--bcher-kva.example"},
		{"full-width letters and dots", "\uff45xample\u3002com", "example.com"},
		{"an IPv4 literal", "[192.0.2.1]", "[192.0.2.1]"},
		{"an IPv6 literal in the one form", "[IPv6:2001:0DB8::0:0:1]", "[IPv6:2001:db8::1]"},
		{"a mapped IPv4 address is one", "[IPv6:::ffff:192.0.2.1]", "[192.0.2.1]"},
		{"the longest label", label + ".example", label + ".example"},
		{"the longest name", longest, longest},
	} {
		d, err := ParseDomain(row.in)
		if err != nil || d.String() != row.want {
			t.Errorf("%s: got %q, %v", row.reason, d, err)
		}
		if again, err := ParseDomain(d.String()); again != d || err != nil {
			t.Errorf("%s: read again it is %q, %v", row.reason, again, err)
		}
	}
	for _, row := range []struct{ reason, in string }{
		{"nothing", ""},
		{"a dot", "."},
		{"a dot in front", ".example.com"},
		{"a dot behind: SMTP knows no root", "example.com."},
		{"two dots", "a..b"},
		{"a hyphen in front", "-a.example"},
		{"a hyphen behind", "a-.example"},
		{"a hyphen at the end", "example-"},
		{"a space", "a b.example"},
		{"a line break", "a.example\r\n"},
		{"a colon", "a.example:25"},
		{"a slash", "a/b.example"},
		{"an at sign", "a@b.example"},
		{"a full-width at sign, which maps to one", "a\uff20b.example"},
		{"Latin-1", "b\xfccher.example"},
		{"a letter in no alphabet", "a\u2028b.example"},
		{"a long label", label + "a.example"},
		{"a long label once converted", strings.Repeat("\u00fc", 60) + ".example"},
		{"a long name", longest + "a"},
		{"an empty literal", "[]"},
		{"a literal with a zone", "[IPv6:fe80::1%1]"},
		{"a general literal", "[x400:foo]"},
		{"a literal and more", "[192.0.2.1].example"},
		{"octal", "[192.0.2.010]"},
	} {
		if d, err := ParseDomain(row.in); err == nil || !d.IsZero() {
			t.Errorf("%s: got %q", row.reason, d)
		}
	}
}

// TestParseDomainIsBounded: the conversion of U-labels is quadratic, and a client
// may send an EHLO of thousands of octets; such a one is not even looked at.
func TestParseDomainIsBounded(t *testing.T) {
	long := strings.Repeat("\u00fc\u4e00", 1<<16)
	if n := testing.AllocsPerRun(10, func() { _, _ = ParseDomain(long) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDomainForPeople(t *testing.T) {
	for in, want := range map[string]string{
		"example.com": "example.com", "xn--bcher-kva.example": "b\u00fccher.example",
		"xn--0":       "xn--0", // no A-label at all
		"[192.0.2.1]": "[192.0.2.1]",
	} {
		if got := MustParseDomain(in).Unicode(); got != want {
			t.Errorf("%s: got %s", in, got)
		}
	}
}

func TestLiterals(t *testing.T) {
	for in, want := range map[string]string{"[192.0.2.1]": "192.0.2.1", "[IPv6:2001:db8::1]": "2001:db8::1"} {
		addr, ok := MustParseDomain(in).Literal()
		if !ok || addr.String() != want || LiteralDomain(addr).String() != in {
			t.Errorf("%s: %v, %v", in, addr, ok)
		}
	}
	if d := LiteralDomain(netip.MustParseAddr("fe80::1%eth0")).String(); d != "[IPv6:fe80::1]" {
		t.Errorf("with a zone: %s", d)
	}
	if _, ok := MustParseDomain("example.com").Literal(); ok {
		t.Error("a name is a literal")
	}
}

func FuzzDomain(f *testing.F) {
	for _, s := range []string{"example.com", "b\u00fccher.example", "xn--bcher-kva", "[IPv6:::1]", "\uff45\u3002com", "a\u00ad.b", "xn--a", "\u0130.x", "\u05d0.x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDomain(s)
		if err != nil {
			return
		}
		if again, err := ParseDomain(d.String()); err != nil || again != d {
			t.Errorf("%q is %q, read again %q, %v", s, d, again, err)
		}
		for _, c := range []byte(d.String()) {
			if c <= ' ' || c > '~' || c == '@' || c == '<' || c == '>' || c == '"' {
				t.Errorf("%q is %q", s, d)
			}
		}
		if u := d.Unicode(); strings.ContainsAny(u, "\r\n\x00@ ") {
			t.Errorf("%q reads %q", d, u)
		}
	})
}
