package routing

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// Options are what a Router knows of its surroundings.
type Options struct {
	// Hostname is our own name: an exchanger of that name is this relay.
	Hostname string
	// Listening are the addresses where this relay accepts mail; an exchanger
	// with one of them, and its port, is this relay. An unspecified address
	// stands for all of Interfaces and the loopback.
	Listening  []netip.AddrPort
	Interfaces []netip.Addr
	// Port is that of MX hosts and address literals; 0 is 25.
	Port uint16
	// IPv6 says that IPv6 addresses may be used.
	IPv6 bool
	// AddressLiterals says that mail to user@[192.0.2.1] may go there.
	AddressLiterals bool
	// Before is the router in whose place this one comes, and whose memory of what
	// failed it goes on with; nil if there is none.
	Before *Router
	// Log hears of what is odd and does not stop mail; nil is silence.
	Log *slog.Logger
}

// Router turns a route and a domain into next hops. It remembers which hosts
// and addresses failed lately, as Report tells it. It is safe for concurrent
// use.
type Router struct {
	resolver *Resolver
	options  Options
	hosts    *hostsFile
	health   *health
}

// NewRouter returns a router that asks resolver, which stays the caller's.
func NewRouter(resolver *Resolver, o Options) *Router {
	o.Port = cmp.Or(o.Port, 25)
	o.Hostname = canonical(o.Hostname)
	o.Interfaces = slices.Clone(o.Interfaces)
	for i, addr := range o.Interfaces {
		o.Interfaces[i] = addr.Unmap().WithZone("")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Router{resolver: resolver, hosts: newHostsFile(etcHosts), health: newHealth(maxTroubles)}
	if o.Before != nil {
		r.hosts, r.health = o.Before.hosts, o.Before.health
		o.Before = nil // and those before it
	}
	r.options = o
	return r
}

// Plan returns the hops of one attempt for mail that route sends to domain;
// smarthost routes don't ask for the domain. An error is a *mail.Error: 5yz says
// that the mail can never go there, 4yz that it can't now. Towards smarthosts
// it is always the latter.
func (r *Router) Plan(ctx context.Context, route *Route, domain mail.Domain) (*Plan, error) {
	return r.plan(&search{Router: r, ctx: ctx}, route, domain)
}

// Explain is Plan for people: the plan has Steps, also when there is an error,
// and nothing is remembered of it.
func (r *Router) Explain(ctx context.Context, route *Route, domain mail.Domain) (*Plan, error) {
	return r.plan(&search{Router: r, ctx: ctx, explain: true}, route, domain)
}

func (r *Router) plan(s *search, route *Route, domain mail.Domain) (*Plan, error) {
	var hops []NextHop
	var err error
	switch addr, literal := domain.Literal(); {
	case route.Smarthost:
		hops, err = s.smarthosts(route)
	case literal:
		hops, err = s.literal(addr)
	default:
		hops, err = s.exchangers(domain)
	}
	if err == nil || s.explain {
		return &Plan{Route: route, Hops: hops, Steps: s.steps}, err
	}
	return nil, err
}

// Report says how a connection to one of hop's addresses went: whether the host
// was ready to take mail. With the zero Addr it is about the host whatever its
// address (a refused login). What failed is tried last for a while, then first
// by one attempt alone, until something is reported again.
func (r *Router) Report(hop *NextHop, addr netip.Addr, ok bool) {
	now := time.Now()
	if ok {
		r.health.well(hostSubject(hop.Host, hop.Port))
		r.health.well(addressSubject(addr, hop.Port))
		return
	}
	if addr.IsValid() {
		r.health.trouble(addressSubject(addr, hop.Port), now)
	} else {
		r.health.trouble(hostSubject(hop.Host, hop.Port), now)
	}
}

// search is one way from a route to its hops.
type search struct {
	*Router
	ctx     context.Context
	explain bool
	steps   []Step
}

// step notes a decision, if anybody wants to know.
func (s *search) step(what, result string) {
	if s.explain {
		s.steps = append(s.steps, Step{What: what, Result: result})
	}
}

// literal returns the address itself as the only hop (RFC 5321 4.1.3).
func (s *search) literal(addr netip.Addr) ([]NextHop, error) {
	what := "address literal " + addr.String()
	switch {
	case !s.options.AddressLiterals:
		s.step(what, "refused: delivery.address_literals is off")
		return nil, mail.Errorf(550, mail.EnhancedCode{5, 7, 1}, "mail to address literals is not allowed here")
	case s.own(addr):
		s.step(what, "refused: that is this relay")
		return nil, errOwn()
	case !usable(addr), addr.Is6() && !s.options.IPv6:
		s.step(what, "refused: not an address mail can be sent to")
		return nil, mail.Errorf(550, mail.EnhancedCode{5, 1, 2}, "%s is not an address mail can be sent to", addr)
	}
	s.step(what, "it is the host")
	return []NextHop{{Host: addr.String(), Port: s.options.Port, Addresses: []netip.Addr{addr}}}, nil
}

// own reports whether mail sent to addr would come back to this relay.
func (r *Router) own(addr netip.Addr) bool {
	if !usable(addr) {
		return false
	}
	for _, at := range r.options.Listening {
		if at.Port() != r.options.Port {
			continue
		}
		if at.Addr().Unmap() == addr {
			return true
		}
		if at.Addr().IsUnspecified() && (addr.IsLoopback() || slices.Contains(r.options.Interfaces, addr)) {
			return true
		}
	}
	return false
}

func errOwn() error {
	return mail.Errorf(554, mail.EnhancedCode{5, 4, 6}, "mail for this domain loops back to this relay")
}
