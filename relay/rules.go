package relay

import (
	"fmt"
	"log/slog"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/policy"
	"github.com/postrider/postrider/routing"
)

// rules are everything a reload swaps: one configuration, and what was built
// from it. They do not change.
type rules struct {
	config        *config.Config
	certificate   *certificate
	authenticator policy.Authenticator
	policy        *policy.Policy
	table         *routing.Table
	warnings      []string // what is odd and no error
}

// carried is what lives on from one set of rules to the next: what was counted
// and what was verified, what is shown of users who don't exist, and the self-signed
// certificate.
type carried struct {
	counters  *policy.Counters
	passwords *policy.Passwords
	decoyKey  []byte
	own       *selfSigned // nil before there is one
}

// newRules builds all of c, or returns the first thing that is wrong with it.
func newRules(c *config.Config, carry carried) (*rules, error) {
	r := &rules{config: c}
	for _, w := range c.Warnings {
		r.warnings = append(r.warnings, w.Error())
	}
	var err error
	if r.certificate, err = loadCertificate(c, carry.own); err != nil {
		return nil, err
	}
	r.authenticator, err = policy.NewAuthenticator(policy.AuthOptions{
		Auth: c.Auth, Passwords: carry.passwords, DecoyKey: carry.decoyKey,
		Warn: func(message string) { r.warnings = append(r.warnings, message) },
	})
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	if r.policy, err = policy.New(c.Policies, carry.counters); err != nil {
		return nil, err
	}
	if r.table, err = routing.NewTable(c.Routes, c.Delivery); err != nil {
		return nil, err
	}
	return r, loadAuthorities(r.table)
}

// loadAuthorities reads the ca_file of each route.
func loadAuthorities(t *routing.Table) error {
	for _, route := range t.Routes() {
		if route.CAFile == "" {
			continue
		}
		var err error
		if route.Authorities, err = loadPool(route.CAFile); err != nil {
			return fmt.Errorf("route %s: ca_file: %w", route.Name, err)
		}
	}
	return nil
}

// warn tells what is odd.
func (r *rules) warn(log *slog.Logger) {
	for _, message := range r.warnings {
		log.Warn(message)
	}
}
