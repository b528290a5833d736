package config

import (
	"errors"
	"strings"

	"github.com/postrider/postrider/internal/mail"
)

// CheckPattern checks the syntax of an address pattern: "user@example.com",
// "*@example.com", "news-*@example.com", "*@*.example.com" (every subdomain, not
// the domain itself), "user@*", "*", and "<>" for the null reverse-path. What a
// pattern matches is the business of its room.
func CheckPattern(s string) error {
	bad := errors.New(`not a pattern such as user@example.com, "*@example.com" or "*@*.example.com"`)
	if s == "*" || s == "<>" {
		return nil
	}
	local, domain, found := strings.Cut(s, "@")
	if !found || strings.Contains(local, "**") {
		return bad
	}
	if domain != "*" {
		if _, err := mail.ParseDomain(strings.TrimPrefix(domain, "*.")); err != nil {
			return bad
		}
	}
	// What stands for the stars doesn't matter, a letter is fine anywhere.
	if _, err := mail.ParseAddress(strings.ReplaceAll(local, "*", "x") + "@example.com"); err != nil {
		return bad
	}
	return nil
}

// checkPolicyPattern checks a pattern of a policy, which may also be an address
// with a quoted local part, or postmaster without a domain. The null reverse-path
// is always allowed there and can't be listed.
func checkPolicyPattern(s string) error {
	switch {
	case s == "<>":
		return errors.New("always allowed; leave it out")
	case strings.HasPrefix(s, `"`), strings.EqualFold(s, "postmaster"):
		if _, err := mail.ParseAddress(s); err != nil {
			return errors.New("not an address")
		}
		return nil
	}
	return CheckPattern(s)
}
