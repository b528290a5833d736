package delivery

import (
	"bytes"
	"cmp"
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The relay gives a Courier routing's table and router as one.
var _ interface {
	Router
	Health
} = struct {
	*routing.Table
	*routing.Router
}{}

// table is a Router with one route for everything, and what happened to its hosts.
type table struct {
	route *routing.Route
	hops  []routing.NextHop
	err   error

	mu      sync.Mutex      // guards reports
	reports map[string]bool // by host and address: the last one
}

func (r *table) Report(hop *routing.NextHop, addr netip.Addr, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reports == nil {
		r.reports = make(map[string]bool)
	}
	name := hop.Host
	if addr.IsValid() {
		name += " " + addr.String()
	}
	r.reports[name] = ok
}

func (r *table) Match(*mail.Envelope, mail.Address) *routing.Route { return r.route }

func (r *table) Route(name string) (*routing.Route, bool) { return r.route, name == r.route.Name }

func (r *table) Plan(context.Context, *routing.Route, mail.Domain) (*routing.Plan, error) {
	if r.err != nil {
		return nil, r.err
	}
	return &routing.Plan{Route: r.route, Hops: r.hops}, nil
}

// mx returns a table that delivers everything to hosts in this order.
func mx(hops ...routing.NextHop) *table {
	return &table{route: &routing.Route{Route: config.Route{Name: "mx", TLS: config.RouteTLSOpportunistic}}, hops: hops}
}

// smarthost returns a table with one route to hosts in this order.
func smarthost(c config.Route, hops ...routing.NextHop) *table {
	c.Name, c.TLS = "provider", cmp.Or(c.TLS, config.RouteTLSOpportunistic)
	return &table{route: &routing.Route{Route: c, Smarthost: true}, hops: hops}
}

// hop is a host with one address.
func hop(name string, at netip.AddrPort) routing.NextHop {
	return routing.NextHop{Host: name, Port: at.Port(), Addresses: []netip.Addr{at.Addr()}}
}

// nobody is a host whose port nothing listens on.
func nobody(name string) routing.NextHop {
	return hop(name, netip.MustParseAddrPort("127.0.0.1:1"))
}

// memory is content.
type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// message is an attempt to deliver content to recipients.
func message(content string, to ...string) *queue.Attempt {
	e := &mail.Envelope{
		From: mail.Path{Address: mail.MustParseAddress("sender@example.org")},
		Size: int64(len(content)),
	}
	a := &queue.Attempt{
		Envelope: e, Content: memory{bytes.NewReader([]byte(content))},
		Delivery: &queue.Delivery{Size: e.Size},
	}
	for i, r := range to {
		e.Recipients = append(e.Recipients, mail.Recipient{Address: mail.MustParseAddress(r)})
		a.Pending = append(a.Pending, i)
		a.Delivery.Recipients = append(a.Delivery.Recipients, queue.RecipientState{Index: i})
	}
	return a
}

// towards sets the destination of a as the table would.
func (r *table) towards(a *queue.Attempt) *queue.Attempt {
	a.Delivery.Destination = queue.Destination{Route: r.route.Name, Domain: r.route.Domain(a.Envelope.Recipients[0].Address)}
	return a
}

// short are timeouts for tests that wait for them.
var short = Timeouts{
	Greeting: 150 * time.Millisecond, Hello: 150 * time.Millisecond,
	TLS: 2 * time.Second, Auth: 2 * time.Second, Mail: 150 * time.Millisecond,
	Recipient: 150 * time.Millisecond, DataStart: 150 * time.Millisecond,
	Block: 2 * time.Second, DataEnd: 150 * time.Millisecond, Quit: 200 * time.Millisecond,
}

// defaults are read out of any bubble of synctest: config looks the host's name up.
var defaults = config.Default().Delivery

// settings are those of a relay without a configuration file, but for the rest of
// sessions.
func settings(r *table) Settings {
	s := Settings{Hostname: "relay.example.org", Router: r, Delivery: defaults}
	s.Delivery.IdleTimeout = time.Minute
	return s
}

// onebyone are settings by which each recipient has a transaction of its own.
func onebyone(r *table) Settings {
	s := settings(r)
	s.Delivery.RecipientsPerTransaction = 1
	return s
}

// courier returns a Courier for a table that is closed at the end of the test.
func courier(t testing.TB, r *table, timeouts Timeouts) *Courier {
	t.Helper()
	c := New(Options{Settings: settings(r), Timeouts: timeouts})
	t.Cleanup(c.Close)
	return c
}

// send delivers content to recipients by a courier of its own.
func send(t *testing.T, r *table, a *queue.Attempt) queue.Outcome {
	t.Helper()
	c := courier(t, r, Timeouts{})
	return c.Deliver(t.Context(), r.towards(a))
}

// verdicts returns the verdicts of an outcome.
func verdicts(o queue.Outcome) []queue.Verdict {
	var v []queue.Verdict
	for _, r := range o.Results {
		v = append(v, r.Verdict)
	}
	return v
}

const hello = "Subject: hello\r\n\r\nhello\r\n"

// modern are the extensions of an up-to-date server.
var modern = []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES", "SIZE 0"}

// allKinds are servers that need content to be sent in different ways.
var allKinds = map[string][]string{
	"plain":                   nil,
	"pipelining":              {"PIPELINING"},
	"chunking":                {"CHUNKING"},
	"pipelining and chunking": {"PIPELINING", "CHUNKING"},
}

func peer(t testing.TB, on map[smtptest.Step]smtptest.Actor, keywords ...string) *smtptest.Peer {
	t.Helper()
	return smtptest.Start(t, smtptest.Script{Keywords: keywords, On: on})
}
