package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/mail"
)

// pattern is a set of addresses, written like one:
//
//	alice@example.com      that address, and alice+tag@example.com is another
//	*@example.com          any local part
//	alice+*@example.com    "*" stands for any characters, or none
//	*@*.example.com        any subdomain, but not example.com itself
//	*@*  or  *             everything
//
// Case does not matter, on either side of the "@"; domains may be written in
// U-labels. A quoted local part stands for itself, "*" included.
type pattern struct {
	text  string
	local glob // folded
	// domain is what the domain must be, or end in if it begins with a dot.
	// anyDomain covers an address without a domain too.
	domain    string
	anyDomain bool
}

func parsePattern(s string) (pattern, error) {
	p := pattern{text: s}
	if len(s) > mail.MaxPath {
		return pattern{}, fmt.Errorf("address pattern of %d octets; expected at most %d", len(s), mail.MaxPath)
	}
	if s == "*" {
		p.local, p.anyDomain = newGlob(s), true
		return p, nil
	}
	local, domain, err := cutPattern(s)
	if err != nil {
		return pattern{}, fmt.Errorf("address pattern %q: %w", s, err)
	}
	p.local = local
	switch rest, sub := strings.CutPrefix(domain, "*."); {
	case domain == "*":
		p.anyDomain = true
	case domain == "": // postmaster
	case strings.Contains(rest, "*"):
		return pattern{}, fmt.Errorf("address pattern %q: \"*\" may stand for a whole domain or for its subdomains only (*@*.example.com)", s)
	default:
		d, err := mail.ParseDomain(rest)
		if _, literal := d.Literal(); err != nil || sub && literal {
			return pattern{}, fmt.Errorf("address pattern %q: malformed domain", s)
		}
		p.domain = d.String()
		if sub {
			p.domain = "." + p.domain
		}
	}
	return p, nil
}

// cutPattern splits a pattern at its "@" and its local part at the stars.
func cutPattern(s string) (local glob, domain string, err error) {
	if strings.HasPrefix(s, `"`) || strings.EqualFold(s, "postmaster") {
		a, err := mail.ParseAddress(s)
		return glob{fold(a.Local)}, a.Domain.String(), err
	}
	l, domain, ok := strings.Cut(s, "@")
	switch {
	case !ok || l == "":
		return nil, "", fmt.Errorf("expected user@domain; all of a domain is *@%s", strings.TrimPrefix(s, "@"))
	case domain == "":
		return nil, "", errors.New("expected a domain after the @")
	case strings.Contains(l, "**"):
		return nil, "", errors.New("one * is enough")
	}
	// What stands for the stars doesn't matter for whether the rest is well
	// formed, except next to a dot; a letter is fine there.
	if _, err := mail.ParseAddress(strings.ReplaceAll(l, "*", "x") + "@example.com"); err != nil {
		return nil, "", err
	}
	return newGlob(fold(l)), domain, nil
}

func parsePatterns(list []string) ([]pattern, error) {
	if list == nil {
		return nil, nil
	}
	patterns := make([]pattern, 0, len(list))
	for _, s := range list {
		p, err := parsePattern(s)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

// exactly is the pattern of one address.
func exactly(a mail.Address) pattern {
	return pattern{text: a.String(), local: glob{fold(a.Local)}, domain: a.Domain.String()}
}

// covers reports whether a is in the set.
func (p *pattern) covers(a mail.Address) bool {
	return p.coversDomain(a.Domain.String()) && p.local.covers(foldUTF8(a.Local), hasFoldedPrefix)
}

func (p *pattern) coversDomain(d string) bool {
	switch {
	case p.anyDomain:
		return true
	case strings.HasPrefix(p.domain, "."):
		return len(d) > len(p.domain) && strings.HasSuffix(d, p.domain)
	}
	return d == p.domain
}

// coveredBy reports whether one of patterns covers a.
func coveredBy(patterns []pattern, a mail.Address) bool {
	for i := range patterns {
		if patterns[i].covers(a) {
			return true
		}
	}
	return false
}
