package routing

import (
	"fmt"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// domainPattern matches domains: "example.com" that one, ".example.com" every
// name below it and not itself. A literal matches as it is written.
type domainPattern struct {
	name string // with its leading dot for subdomains
}

func parseDomainPattern(s string) (domainPattern, error) {
	below := strings.HasPrefix(s, ".")
	d, err := mail.ParseDomain(strings.TrimPrefix(s, "."))
	if err != nil {
		return domainPattern{}, fmt.Errorf("recipient_domain %q: %w", s, err)
	}
	if below {
		return domainPattern{"." + d.String()}, nil
	}
	return domainPattern{d.String()}, nil
}

func (p domainPattern) match(d mail.Domain) bool {
	name := d.String()
	if strings.HasPrefix(p.name, ".") {
		return len(name) > len(p.name) && strings.HasSuffix(name, p.name)
	}
	return name == p.name
}

// addressPattern matches addresses as config.CheckPattern describes it: "*"
// stands for any octets, case does not count, "*@*.example.com" is every
// subdomain and not the domain itself, "<>" the null reverse-path.
type addressPattern struct {
	any, null     bool
	local, domain string // lower case
}

func parseAddressPattern(s string) (addressPattern, error) {
	if err := config.CheckPattern(s); err != nil {
		return addressPattern{}, fmt.Errorf("sender %q: %w", s, err)
	}
	switch s {
	case "*":
		return addressPattern{any: true}, nil
	case "<>":
		return addressPattern{null: true}, nil
	}
	at := strings.LastIndexByte(s, '@')
	domain := s[at+1:]
	if domain != "*" {
		d, err := mail.ParseDomain(strings.TrimPrefix(domain, "*."))
		if err != nil {
			return addressPattern{}, fmt.Errorf("sender %q: %w", s, err)
		}
		if strings.HasPrefix(domain, "*.") {
			domain = "*." + d.String()
		} else {
			domain = d.String()
		}
	}
	return addressPattern{local: strings.ToLower(s[:at]), domain: domain}, nil
}

func (p addressPattern) match(a mail.Address) bool {
	switch {
	case p.any:
		return true
	case p.null:
		return a.IsZero()
	case a.IsZero():
		return false
	}
	return glob(p.domain, a.Domain.String()) && glob(p.local, strings.ToLower(a.Local))
}

// glob matches s against a pattern in which "*" stands for any octets. It takes
// time in proportion to len(pattern) * len(s) at most: a star that has matched
// is not tried again once a later one has.
func glob(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
