package routing

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// Table is the route table: the configured routes in their order, and behind
// them the built-in one, which takes everything to its MX hosts. It is
// immutable; a reload makes a new one.
type Table struct {
	routes []*Route // the built-in one is last
}

// NewTable makes a table of routes, in order. Delivery gives the built-in route
// its settings. An error says which route is wrong.
func NewTable(routes []config.Route, delivery config.Delivery) (*Table, error) {
	t := &Table{}
	builtIn := config.Route{
		Name:                   config.BuiltInRoute,
		TLS:                    delivery.TLS,
		DestinationConcurrency: delivery.DestinationConcurrency,
		DestinationMessages:    delivery.DestinationMessages,
	}
	for _, c := range append(slices.Clone(routes), builtIn) {
		if _, exists := t.Route(c.Name); exists {
			return nil, fmt.Errorf("route %s: there are two of that name", c.Name)
		}
		r, err := newRoute(c)
		if err != nil {
			return nil, fmt.Errorf("route %s: %w", c.Name, err)
		}
		t.routes = append(t.routes, r)
	}
	return t, nil
}

// Match returns the route for mail with envelope e to rcpt: the first whose
// conditions all hold. Only From and Identity of e count.
func (t *Table) Match(e *mail.Envelope, rcpt mail.Address) *Route {
	for _, r := range t.routes {
		if r.mismatch(e, rcpt) == "" {
			return r
		}
	}
	return t.routes[len(t.routes)-1] // not reached: it has no conditions
}

// Explain is Match with a step for each route it looked at.
func (t *Table) Explain(e *mail.Envelope, rcpt mail.Address) (*Route, []Step) {
	var steps []Step
	for _, r := range t.routes {
		step := Step{What: "route " + r.Name}
		key := r.mismatch(e, rcpt)
		if key == "" {
			step.Result = "taken: " + r.conditions()
			return r, append(steps, step)
		}
		step.Result = "does not match: " + key + " is " + value(key, e, rcpt)
		steps = append(steps, step)
	}
	return t.routes[len(t.routes)-1], steps // not reached, as in Match
}

// Route returns the route of that name.
func (t *Table) Route(name string) (*Route, bool) {
	i := slices.IndexFunc(t.routes, func(r *Route) bool { return r.Name == name })
	if i < 0 {
		return nil, false
	}
	return t.routes[i], true
}

// Routes returns all routes in order, the built-in one last.
func (t *Table) Routes() []*Route { return slices.Clone(t.routes) }

// Keys of conditions, as in the configuration.
const (
	keyDomain   = "recipient_domain"
	keySender   = "sender"
	keyIdentity = "identity"
	keyListener = "listener"
)

// mismatch returns the key of the first condition that does not hold, or nothing
// if all do.
func (r *Route) mismatch(e *mail.Envelope, rcpt mail.Address) string {
	switch {
	case len(r.domains) > 0 && !slices.ContainsFunc(r.domains, func(p mail.DomainPattern) bool { return p.Match(rcpt.Domain) }):
		return keyDomain
	case len(r.senders) > 0 && !slices.ContainsFunc(r.senders, func(p mail.Pattern) bool { return p.Match(e.From.Address) }):
		return keySender
	case len(r.identities) > 0 && !slices.Contains(r.identities, e.Identity.Name):
		return keyIdentity
	case len(r.listeners) > 0 && !slices.Contains(r.listeners, e.Identity.Listener):
		return keyListener
	}
	return ""
}

// conditions tells why r was taken.
func (r *Route) conditions() string {
	var held []string
	for _, c := range []struct {
		key    string
		values []string
	}{
		{keyDomain, r.Match.RecipientDomain},
		{keySender, r.Match.Sender},
		{keyIdentity, r.Match.Identity},
		{keyListener, r.Match.Listener},
	} {
		if len(c.values) > 0 {
			held = append(held, c.key+" matches "+strings.Join(c.values, ", "))
		}
	}
	if len(held) == 0 {
		return "it takes everything"
	}
	return strings.Join(held, "; ")
}

// value is what a condition was held against.
func value(key string, e *mail.Envelope, rcpt mail.Address) string {
	var s string
	switch key {
	case keyDomain:
		s = rcpt.Domain.String()
	case keySender:
		s = e.From.String()
	case keyIdentity:
		s = e.Identity.Name
	case keyListener:
		s = e.Identity.Listener
	}
	if s == "" {
		return "not known"
	}
	return s
}
