package mail

import (
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	for _, row := range []struct {
		reason, pattern, address string
		want                     bool
	}{
		{"any local part", "*@example.com", "alice@example.com", true},
		{"any, with a tag", "*@example.com", "alice+tag@example.com", true},
		{"any, quoted", "*@example.com", `"a b"@example.com`, true},
		{"any, UTF-8", "*@example.com", "m\u00fcller@example.com", true},
		{"case of the domain", "*@Example.COM", "Alice@eXample.com", true},
		{"no subdomain", "*@example.com", "alice@sub.example.com", false},
		{"no longer name", "*@example.com", "alice@badexample.com", false},
		{"the domain as a subdomain of another", "*@example.com", "alice@example.com.evil.example", false},
		{"quoted at sign", "*@example.com", `"x@example.com"@evil.example`, false},
		{"percent hack", "*@example.com", "x%example.com@evil.example", false},
		{"subdomains", "*@*.example.com", "alice@sub.example.com", true},
		{"subdomains of subdomains", "*@*.example.com", "alice@a.b.example.com", true},
		{"subdomains only", "*@*.example.com", "alice@example.com", false},
		{"no longer name, subdomains", "*@*.example.com", "alice@x.badexample.com", false},
		{"exactly", "alice@example.com", "alice@example.com", true},
		{"exactly, in any case", "Alice@example.com", "aLICE@example.com", true},
		{"a tag makes another address", "alice@example.com", "alice+tag@example.com", false},
		{"another's prefix", "alice@example.com", "alic@example.com", false},
		{"with tags", "alice+*@example.com", "alice+tag@example.com", true},
		{"with an empty tag", "alice+*@example.com", "alice+@example.com", true},
		{"with tags, but without one", "alice+*@example.com", "alice@example.com", false},
		{"with tags, another user", "alice+*@example.com", "malice+tag@example.com", false},
		{"two stars", "b-*-*@example.com", "b-1-2@example.com", true},
		{"two stars, one dash", "b-*-*@example.com", "b-12@example.com", false},
		{"a part between stars", "*bounce*@example.com", "x-bounce-y@example.com", true},
		{"a part that is missing", "*bounce*@example.com", "x-bounc-y@example.com", false},
		{"beginning and end don't overlap", "ab*ba@example.com", "aba@example.com", false},
		{"beginning and end, nothing between", "ab*ba@example.com", "abba@example.com", true},
		{"UTF-8 in any case", "M\u00dcLLER@example.com", "m\u00fcller@example.com", true},
		{"UTF-8 in another normal form", "m\u00fcller@example.com", "mu\u0308ller@example.com", true},
		{"the Kelvin sign is no k", "kate@example.com", "\u212aate@example.com", false},
		{"the long s is no s", "sales@example.com", "\u017fales@example.com", false},
		{"a dotted capital I is no i", "info@example.com", "\u0130nfo@example.com", false},
		{"a Cyrillic a is no a", "alice@example.com", "\u0430lice@example.com", false},
		{"U-labels cover A-labels", "*@b\u00fccher.example", "a@xn--bcher-kva.example", true},
		{"A-labels cover U-labels", "*@xn--bcher-kva.example", "a@b\u00fccher.example", true},
		{"subdomains of a U-label", "*@*.b\u00fccher.example", "a@x.xn--bcher-kva.example", true},
		{"a Cyrillic domain is another", "*@example.com", "a@ex\u0430mple.com", false},
		{"an address literal", "*@[192.0.2.1]", "a@[192.0.2.1]", true},
		{"a literal written otherwise", "*@[IPv6:2001:DB8:0::1]", "a@[IPv6:2001:db8::1]", true},
		{"quoted star is a star", `"*"@example.com`, "a@example.com", false},
		{"quoted star is itself", `"*"@example.com`, "*@example.com", true},
		{"quoting makes no difference", `"alice"@example.com`, "alice@example.com", true},
		{"everything", "*", "a@example.com", true},
		{"everything, written out", "*@*", "a@example.com", true},
		{"everything has postmaster in it", "*", "postmaster", true},
		{"postmaster", "Postmaster", "postmaster", true},
		{"postmaster somewhere", "postmaster", "postmaster@example.com", false},
		{"one name anywhere", "noreply@*", "noreply@x.example", true},
		{"another name anywhere", "noreply@*", "reply@x.example", false},
		{"one name anywhere is not one without a domain", "postmaster@*", "postmaster", false},
		{"any address has postmaster in it", "*@*", "postmaster", true},
		{"the null reverse-path is no address", "*@*", "", false},
		{"the null reverse-path has no local part that is any", "*@example.com", "", false},
		{"everything has the null reverse-path in it", "*", "", true},
		{"the null reverse-path", "<>", "", true},
		{"the null reverse-path and nothing else", "<>", "a@example.com", false},
	} {
		p, err := ParsePattern(row.pattern)
		if err != nil {
			t.Errorf("%s: %v", row.reason, err)
			continue
		}
		if got := p.Match(parseOrNull(row.address)); got != row.want {
			t.Errorf("%s: %s covers %s: %v", row.reason, row.pattern, row.address, got)
		}
	}
}

// parseOrNull reads an address; nothing is the null reverse-path's.
func parseOrNull(s string) (a Address) {
	if s != "" {
		a = MustParseAddress(s)
	}
	return a
}

func TestDomainPatterns(t *testing.T) {
	for _, row := range []struct {
		reason, pattern, domain string
		want                    bool
	}{
		{"that domain, in any case", "Example.COM", "example.com", true},
		{"no subdomain", "example.com", "sub.example.com", false},
		{"below", ".example.com", "sub.example.com", true},
		{"far below", ".example.com", "a.b.example.com", true},
		{"not itself", ".example.com", "example.com", false},
		{"no longer name", ".example.com", "badexample.com", false},
		{"U-labels", ".b\u00fccher.example", "x.xn--bcher-kva.example", true},
		{"a literal", "[192.0.2.1]", "[192.0.2.1]", true},
	} {
		p, err := ParseDomainPattern(row.pattern)
		if err != nil {
			t.Errorf("%s: %v", row.reason, err)
			continue
		}
		if got := p.Match(MustParseDomain(row.domain)); got != row.want {
			t.Errorf("%s: %s matches %s: %v", row.reason, row.pattern, row.domain, got)
		}
	}
	for _, bad := range []string{"", ".", "*.example.com", "..example.com", "a..b", ".[192.0.2.1]"} {
		if _, err := ParseDomainPattern(bad); err == nil {
			t.Errorf("%q is taken for a pattern of domains", bad)
		}
	}
}

func TestBadPatterns(t *testing.T) {
	for _, row := range []struct{ reason, pattern, want string }{
		{"a domain alone", "example.com", "all of a domain is *@example.com"},
		{"a domain with an at sign", "@example.com", "all of a domain is *@example.com"},
		{"nothing", "", "expected user@domain"},
		{"no domain", "alice@", "expected a domain"},
		{"a star inside a label", "*@ex*mple.com", "subdomains only"},
		{"a star behind", "*@example.*", "subdomains only"},
		{"two stars in the domain", "*@*.*.com", "subdomains only"},
		{"two stars together", "**@example.com", "one * is enough"},
		{"a malformed domain", "*@-example.com", "malformed domain"},
		{"a space", "a b@example.com", "malformed address"},
		{"two at signs", "a@b@example.com", "malformed domain"},
		{"subdomains of a literal", "*@*.[192.0.2.1]", "malformed domain"},
		{"angle brackets", "<a@example.com>", "malformed address"},
		{"a quoted local part without a domain", `"a b"`, "needs a domain"},
		{"a long local part", strings.Repeat("a", 65) + "@example.com", "64 octets"},
	} {
		if _, err := ParsePattern(row.pattern); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.reason, err, row.want)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"*@example.com", "a+*@*.example.com", `"a*"@x.y`, "*", "@x", "*@b\u00fccher.example", "\u212a*@x.y", "postmaster"} {
		f.Add(s, "alice+tag@sub.example.com")
		f.Add(s, "M\u00fcller@b\u00fccher.example")
	}
	f.Fuzz(func(t *testing.T, text, address string) {
		p, err := ParsePattern(text)
		if err != nil {
			return
		}
		a, err := ParseAddress(address)
		if err != nil {
			return
		}
		covered := p.Match(a)
		if !strings.Contains(text, "*") && covered && IsASCII(a.Local) != IsASCII(p.local.parts[0]) {
			t.Errorf("%q covers the look-alike %q", text, address)
		}
		if e := ExactPattern(a); !e.Match(a) {
			t.Errorf("%q does not cover itself", address)
		}
		if upper := (Address{Local: strings.ToUpper(a.Local), Domain: a.Domain}); IsASCII(a.Local) && p.Match(upper) != covered {
			t.Errorf("%q: case of %q makes a difference", text, address)
		}
	})
}
