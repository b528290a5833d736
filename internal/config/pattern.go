package config

import (
	"errors"
	"strings"

	"github.com/postrider/postrider/internal/mail"
)

// CheckPattern checks the syntax of an address pattern as policies and routes
// take it: "*", "user@example.com", "*@example.com", "news-*@example.com",
// "*@*.example.com" (every subdomain, not the domain itself), "user@*", and "<>"
// for the null reverse-path. A star stands for any octets.
func CheckPattern(s string) error {
	bad := errors.New(`not a pattern such as user@example.com, "*@example.com" or "*@*.example.com"`)
	if s == "*" || s == "<>" {
		return nil
	}
	at := strings.LastIndexByte(s, '@')
	if at <= 0 {
		return bad
	}
	local, domain := s[:at], s[at+1:]
	if domain != "*" {
		if _, err := mail.ParseDomain(strings.TrimPrefix(domain, "*.")); err != nil {
			return bad
		}
	}
	// A star is an atom character: with the stars in it the local part must
	// still be one.
	if _, err := mail.ParseAddress(local + "@example.com"); err != nil {
		return bad
	}
	return nil
}
