package routing

import (
	"crypto/x509"
	"fmt"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// Route is a row of the route table, ready for use.
type Route struct {
	config.Route
	// Smarthost says that hops come from the configuration, so that a refused
	// login or certificate is the route's fault and never the message's.
	Smarthost bool
	// Authorities are those of CAFile, which the maker of the table fills in; nil
	// for the system's.
	Authorities *x509.CertPool

	domains    []mail.DomainPattern
	senders    []mail.Pattern
	identities []string
	listeners  []string
}

// Domain returns the domain that mail for rcpt shares a destination by: none
// for a smarthost route, all of whose mail goes the same way.
func (r *Route) Domain(rcpt mail.Address) mail.Domain {
	if r.Smarthost {
		return mail.Domain{}
	}
	return rcpt.Domain
}

// newRoute compiles c, which config has checked.
func newRoute(c config.Route) (*Route, error) {
	r := &Route{
		Route:      c,
		Smarthost:  len(c.Smarthosts) > 0,
		identities: c.Match.Identity,
		listeners:  c.Match.Listener,
	}
	for _, text := range c.Match.RecipientDomain {
		p, err := mail.ParseDomainPattern(text)
		if err != nil {
			return nil, fmt.Errorf("recipient_domain %q: %w", text, err)
		}
		r.domains = append(r.domains, p)
	}
	for _, text := range c.Match.Sender {
		p, err := mail.ParsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("sender: %w", err)
		}
		r.senders = append(r.senders, p)
	}
	return r, nil
}
