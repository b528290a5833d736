package mail

import (
	"errors"
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	for _, row := range []struct {
		reason, in, want string
		err              error
	}{
		{"null", "<>", "<>", nil},
		{"plain", "<a@example.com>", "<a@example.com>", nil},
		{"postmaster", "<Postmaster>", "<Postmaster>", nil},
		{"a quoted bracket", `<"a>b"@example.com>`, `<"a>b"@example.com>`, nil},
		{"a source route is ignored", "<@a.example:user@example.com>", "<user@example.com>", nil},
		{"so is a long one", "<@a.example,@b.example:user@example.com>", "<user@example.com>", nil},
		{"so is one by way of a literal", "<@[IPv6:2001:db8::1],@[192.0.2.1]:user@example.com>", "<user@example.com>", nil},
		{"no brackets", "a@example.com", "", ErrSyntax},
		{"one bracket", "<a@example.com", "", ErrSyntax},
		{"a space in the null path", "< >", "", ErrSyntax},
		{"brackets in brackets", "<<a@example.com>>", "", ErrSyntax},
		{"parameters are not part of it", "<a@example.com> SIZE=1", "", ErrSyntax},
		{"a display name", "A <a@example.com>", "", ErrSyntax},
		{"a route to nowhere", "<@a.example:>", "", ErrSyntax},
		{"a route alone", "<@a.example>", "", ErrSyntax},
		{"hops run together", "<@a.example,b.example:user@example.com>", "", ErrSyntax},
		{"a route that goes on behind its end", "<@a.example:@b.example:user@example.com>", "", ErrSyntax},
		{"a hop that is no domain", "<@-:user@example.com>", "", ErrBadDomain},
		{"an open literal in a route", "<@[IPv6:user@example.com>", "", ErrSyntax},
		{"a hop of nothing", "<@:user@example.com>", "", ErrSyntax},
		{"too long", "<@" + strings.Repeat("a.", 120) + "a:user@example.com>", "", ErrPathLength},
	} {
		p, err := ParsePath(row.in)
		if !errors.Is(err, row.err) || err == nil && p.String() != row.want || err != nil && p != (Path{}) {
			t.Errorf("%s: %s is %s, %v", row.reason, row.in, p, err)
		}
		if p.IsNull() != (row.want == "<>" || err != nil) {
			t.Errorf("%s: null %v", row.reason, p.IsNull())
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"<>", "<a@b.c>", "<@a,@b:c@d>", "<@[IPv6:::1]:c@d>", "<@[", "<@]:", "<@a:@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePath(s)
		if err != nil {
			return
		}
		if again, err := ParsePath(p.String()); err != nil || again != p {
			t.Errorf("%q is written %q, read again %v, %v", s, p, again, err)
		}
	})
}
