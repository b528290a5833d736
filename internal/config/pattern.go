package config

import (
	"errors"

	"github.com/postrider/postrider/internal/mail"
)

// checkPattern checks the syntax of an address pattern, in the words of the
// configuration; see mail.Pattern for what one may be.
func checkPattern(s string) error {
	if _, err := mail.ParsePattern(s); err != nil {
		return errors.New(`not a pattern such as user@example.com, "*@example.com" or "*@*.example.com"`)
	}
	return nil
}

// checkPolicyPattern checks a pattern of a policy. The null reverse-path is
// always allowed there and can't be listed.
func checkPolicyPattern(s string) error {
	if s == "<>" {
		return errors.New("always allowed; leave it out")
	}
	return checkPattern(s)
}
