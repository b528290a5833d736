package delivery

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/routing"
)

// Router is what delivery asks of the route table in force.
type Router interface {
	// Match returns the route of a recipient. There always is one.
	Match(e *mail.Envelope, rcpt mail.Address) *routing.Route
	// Route returns the route of that name, if there is one.
	Route(name string) (*routing.Route, bool)
	// Plan returns the hosts of a route in the order they are to be tried; domain
	// is zero for a smarthost route. Where no host can ever take the mail, the
	// error is a *mail.Error with a 5yz reply.
	Plan(ctx context.Context, r *routing.Route, domain mail.Domain) (*routing.Plan, error)
}

// Health hears how the hosts of a plan are doing, for the order they are tried in
// next time. A Router that implements it is told.
type Health interface {
	// Report says whether the host was ready to take mail at an address. With the
	// zero Addr it is about the host whatever its address.
	Report(hop *routing.NextHop, addr netip.Addr, ok bool)
}

// Meter counts what no event tells.
type Meter interface {
	// Handshake is told of each TLS handshake; err is nil if it went well.
	Handshake(err error)
	// InDoubt is told of each transaction whose end was not answered.
	InDoubt()
}

type noMeter struct{}

func (noMeter) Handshake(error) {}
func (noMeter) InDoubt()        {}

// Settings are what a reload may change.
type Settings struct {
	Hostname string // for EHLO
	Router   Router
	Delivery config.Delivery
}

// Options are what a Courier is made of.
type Options struct {
	Settings
	// Meter may be nil.
	Meter Meter
	// Timeouts of zero are the default ones.
	Timeouts Timeouts
	// Dial makes connections; nil for the network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Courier is a queue.Deliverer that speaks SMTP. It keeps sessions for further
// messages until Close.
type Courier struct {
	options    Options
	meter      Meter
	rules      atomic.Pointer[rules]
	cache      *cache
	securities securities
	paces      paces
	plaintext  plaintext
	suspects   suspects
}

var _ queue.Deliverer = (*Courier)(nil)

// rules are one version of the settings; an attempt uses one from beginning to
// end.
type rules struct {
	hostname string
	router   Router
	health   Health // nil if the router does not care
	delivery config.Delivery
	timeouts Timeouts
	dialer   dialer
}

// New returns a Courier. It starts nothing.
func New(o Options) *Courier {
	c := &Courier{options: o, meter: o.Meter}
	if c.meter == nil {
		c.meter = noMeter{}
	}
	if c.options.Dial == nil {
		c.options.Dial = (&net.Dialer{}).DialContext
	}
	c.cache = newCache(
		func() time.Duration { return c.rules.Load().delivery.IdleTimeout },
		func() *Timeouts { return &c.rules.Load().timeouts },
	)
	c.rules.Store(c.newRules(o.Settings))
	return c
}

func (c *Courier) newRules(s Settings) *rules {
	r := &rules{hostname: s.Hostname, router: s.Router, delivery: s.Delivery}
	r.health, _ = s.Router.(Health)
	r.timeouts = c.options.Timeouts.orDefault()
	r.dialer = dialer{dial: c.options.Dial, timeout: s.Delivery.ConnectTimeout}
	return r
}

// Reload puts s in force for attempts that begin from now on. Sessions at rest are
// ended if they would be made otherwise now, and hosts whose TLS was broken get
// another chance.
func (c *Courier) Reload(s Settings) {
	c.plaintext.forget()
	now := c.newRules(s)
	c.rules.Store(now)
	c.securities.forget()
	c.cache.drop(func(s *session) bool { return !stands(now, s) })
}

// stands reports whether s is what would be made of its host under r.
func stands(r *rules, s *session) bool {
	route, ok := r.router.Route(s.key.route)
	if !ok || s.inClear != nil {
		return false
	}
	return newKey(r, route, s.hop, s.key.requireTLS) == s.key
}

// Close ends the sessions at rest with QUIT and waits for that, a few seconds at
// most. Attempts are to have ended before; one that has not is served, but its
// session is not kept.
func (c *Courier) Close() { c.cache.close() }

// Deliver tries once to carry a to its next hop. It returns when every pending
// recipient has a result, at the latest when all timeouts have passed, and at once
// when ctx ends.
func (c *Courier) Deliver(ctx context.Context, a *queue.Attempt) queue.Outcome {
	t := newAttempt(c, a)
	if a.Delivery.Attempts > 0 {
		t.known = c.suspects.of(a.Delivery.DeliveryKey)
	}
	t.run(ctx)
	t.trusted()
	return t.outcome()
}
