package mail

import (
	"errors"
	"fmt"
	"strings"
)

// Pattern is a set of addresses, written like one:
//
//	alice@example.com      that address, and alice+tag@example.com is another
//	*@example.com          any local part
//	alice+*@example.com    "*" stands for any characters, or none
//	*@*.example.com        any subdomain, but not example.com itself
//	noreply@*              that local part in any domain
//	*@*                    every address
//	<>                     the null reverse-path alone
//	*                      everything, the null reverse-path too
//
// Case does not matter, on either side of the "@"; domains may be written in
// U-labels. A quoted local part stands for itself, "*" included. The zero Pattern
// is the empty set.
type Pattern struct {
	text   string
	local  Glob // folded
	domain DomainPattern
	// anywhere: the domain may be any. There may be none, as in postmaster's
	// address, where the local part may be any too.
	anywhere bool
	null     bool // the null reverse-path is in the set
}

// ParsePattern reads a pattern. Its error repeats it and says what is wrong.
func ParsePattern(s string) (Pattern, error) {
	switch {
	case s == "*":
		return Pattern{text: s, local: NewGlob(s), anywhere: true, null: true}, nil
	case s == "<>":
		return Pattern{text: s, null: true}, nil
	case len(s) > MaxPath:
		return Pattern{}, fmt.Errorf("address pattern of %d octets; expected at most %d", len(s), MaxPath)
	}
	p := Pattern{text: s}
	local, domain, err := cutPattern(s)
	if err != nil {
		return Pattern{}, fmt.Errorf("address pattern %q: %w", s, err)
	}
	p.local = local
	switch below, sub := strings.CutPrefix(domain, "*."); {
	case domain == "*":
		p.anywhere = true
	case domain == "": // postmaster
	case strings.Contains(below, "*"):
		return Pattern{}, fmt.Errorf("address pattern %q: \"*\" may stand for a whole domain or for its subdomains only (*@*.example.com)", s)
	default:
		if sub {
			below = "." + below
		}
		if p.domain, err = ParseDomainPattern(below); err != nil {
			return Pattern{}, fmt.Errorf("address pattern %q: malformed domain", s)
		}
	}
	return p, nil
}

// cutPattern splits a pattern at its "@" and its local part at the stars.
func cutPattern(s string) (local Glob, domain string, err error) {
	if strings.HasPrefix(s, `"`) || strings.EqualFold(s, "postmaster") {
		local, rest, err := cutLocal(s)
		if err == nil {
			_, err = ParseAddress(s)
		}
		return Glob{[]string{fold(local)}}, strings.TrimPrefix(rest, "@"), err
	}
	l, domain, ok := strings.Cut(s, "@")
	switch {
	case !ok || l == "":
		return Glob{}, "", fmt.Errorf("expected user@domain; all of a domain is *@%s", strings.TrimPrefix(s, "@"))
	case domain == "":
		return Glob{}, "", errors.New("expected a domain after the @")
	case strings.Contains(l, "**"):
		return Glob{}, "", errors.New("one * is enough")
	}
	// What stands for the stars doesn't matter for whether the rest is well
	// formed, except next to a dot; a letter is fine there.
	if _, err := ParseAddress(strings.ReplaceAll(l, "*", "x") + "@example.com"); err != nil {
		return Glob{}, "", err
	}
	return NewGlob(fold(l)), domain, nil
}

// ExactPattern is the pattern of one address, and of no other.
func ExactPattern(a Address) Pattern {
	return Pattern{text: a.String(), local: Glob{[]string{fold(a.Local)}}, domain: DomainPattern(a.Domain)}
}

// Match reports whether a is in the set; the zero Address is the null
// reverse-path.
func (p *Pattern) Match(a Address) bool {
	if a.IsZero() {
		return p.null
	}
	domain := p.domain.Match(a.Domain)
	if p.anywhere {
		domain = !a.Domain.IsZero() || p.local.any()
	}
	return domain && p.local.match(foldUTF8(a.Local), hasFoldedPrefix)
}

// String returns the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// DomainPattern is a set of domains: "example.com" is that one, ".example.com"
// every name below it and not itself. An address literal is one domain. The zero
// DomainPattern is that of addresses without a domain.
type DomainPattern struct {
	name string // with a leading dot for what lies below
}

// ParseDomainPattern reads a pattern of domains, in A-labels or U-labels and any
// case.
func ParseDomainPattern(s string) (DomainPattern, error) {
	name, below := strings.CutPrefix(s, ".")
	d, err := ParseDomain(name)
	if err != nil {
		return DomainPattern{}, err
	}
	if !below {
		return DomainPattern(d), nil
	}
	if _, literal := d.Literal(); literal {
		return DomainPattern{}, errDomain
	}
	return DomainPattern{"." + d.name}, nil
}

// Match reports whether d is in the set.
func (p DomainPattern) Match(d Domain) bool {
	if strings.HasPrefix(p.name, ".") {
		return len(d.name) > len(p.name) && strings.HasSuffix(d.name, p.name)
	}
	return d.name == p.name
}
