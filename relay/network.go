package relay

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/relay/admin"
	"github.com/postrider/postrider/routing"
)

// network is what finds hosts: a resolver and a router over it. It belongs to
// the settings it was made of; a reload that changes them makes another.
//
// The one before is not closed then: attempts that have it may still be asking, and
// what they would hear would be taken for their routes' fault. Its look-ups end by
// their time limit; nothing else of it runs.
type network struct {
	dns      config.DNS
	resolver *routing.Resolver
	router   *routing.Router
}

// newNetwork makes a network, and keeps what the one before, if there is one, knows
// and c does not change.
func newNetwork(c *config.Config, before *network, m *admin.Metrics, log *slog.Logger) *network {
	n := &network{dns: c.DNS}
	o := routing.Options{
		Hostname:        c.Hostname,
		Listening:       listening(c.Listeners),
		Interfaces:      interfaces(),
		Port:            c.Delivery.Port,
		IPv6:            c.Delivery.IPv6,
		AddressLiterals: c.Delivery.AddressLiterals,
		Log:             log,
	}
	if before != nil {
		o.Before = before.router
	}
	if before != nil && reflect.DeepEqual(before.dns, c.DNS) {
		n.resolver = before.resolver
	} else {
		n.resolver = routing.NewResolver(c.DNS)
		n.resolver.Observe(func(_ routing.Type, took time.Duration, _ error) { m.Asked(took) })
	}
	n.router = routing.NewRouter(n.resolver, o)
	return n
}

func (n *network) close() { n.resolver.Close() }

// sameNetwork reports whether a network made of a would be one made of b.
func sameNetwork(a, b *config.Config) bool {
	return a.Hostname == b.Hostname && reflect.DeepEqual(a.DNS, b.DNS) && reflect.DeepEqual(a.Listeners, b.Listeners) &&
		a.Delivery.Port == b.Delivery.Port && a.Delivery.IPv6 == b.Delivery.IPv6 && a.Delivery.AddressLiterals == b.Delivery.AddressLiterals
}

// listening returns the addresses of the listeners that are on the network.
func listening(listeners []config.Listener) []netip.AddrPort {
	var list []netip.AddrPort
	for _, l := range listeners {
		host, port, err := net.SplitHostPort(l.Address)
		if err != nil {
			continue // a unix socket
		}
		if host == "" {
			host = "0.0.0.0"
		}
		if addr, err := netip.ParseAddrPort(net.JoinHostPort(host, port)); err == nil {
			list = append(list, addr)
		}
	}
	return list
}

// interfaces returns the addresses of this host.
func interfaces() []netip.Addr {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil // only loops of mail are noticed later, by their Received fields
	}
	var list []netip.Addr
	for _, a := range found {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, prefix.Addr())
		}
	}
	return list
}

// nextHops answers delivery's questions from one route table and one network.
type nextHops struct {
	table  *routing.Table
	router *routing.Router
}

func (n nextHops) Match(e *mail.Envelope, rcpt mail.Address) *routing.Route {
	return n.table.Match(e, rcpt)
}

func (n nextHops) Route(name string) (*routing.Route, bool) { return n.table.Route(name) }

func (n nextHops) Plan(ctx context.Context, r *routing.Route, domain mail.Domain) (*routing.Plan, error) {
	return n.router.Plan(ctx, r, domain)
}

func (n nextHops) Report(hop *routing.NextHop, addr netip.Addr, ok bool) {
	n.router.Report(hop, addr, ok)
}
