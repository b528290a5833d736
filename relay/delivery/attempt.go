package delivery

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/routing"
)

// attempt is one call of Deliver.
type attempt struct {
	courier *Courier
	rules   *rules
	a       *queue.Attempt
	probe   bool // see Courier.Probe
	route   *routing.Route
	hop     *routing.NextHop // the one being tried
	phases  phases
	// todo are the places in a.Pending, and so in results, that this attempt is
	// about.
	todo     []int
	known    suspicion // of the delivery; nil if there is none
	results  []queue.Result
	event    mail.Event
	inDoubt  string        // the host that did not answer in this attempt
	wait     time.Duration // see queue.Outcome
	fault    queue.Fault
	faultBy  failure
	failures []failure // of hosts, in the order they were tried
	silent   int       // sessions in which nothing was said in time
}

// maxSilent is how many silent sessions are enough for one attempt: each may cost
// minutes, and a worker.
const maxSilent = 3

// failure is why one host did not settle the matter.
type failure struct {
	host   string
	ruling ruling
	reply  mail.Reply
	own    bool // reply is ours, not the host's
	reason string
}

func newAttempt(c *Courier, a *queue.Attempt) *attempt {
	return &attempt{courier: c, rules: c.rules.Load(), a: a, results: make([]queue.Result, len(a.Pending))}
}

// run goes from the route table to results for everyone. What comes before a
// transaction is given up already when no more are to begin.
func (t *attempt) run(ctx context.Context) {
	opening := ctx
	if t.a.Opening != nil {
		opening = t.a.Opening
	}
	if !t.match() {
		return
	}
	t.event.Route, t.event.Domain = t.route.Name, t.a.Delivery.Destination.Domain
	if t.requiresTLS() && !t.vouched() {
		t.event.Reply = unvouched
		t.everyone(queue.Result{Verdict: queue.Bounce, Reply: unvouched})
		return
	}
	if !t.paced(opening) {
		return
	}
	start := time.Now()
	plan, err := t.rules.router.Plan(opening, t.route, t.a.Delivery.Destination.Domain)
	t.phases.add("dns", start)
	switch {
	case err != nil && opening.Err() != nil:
		t.interrupted(opening)
		return
	case err != nil:
		t.noPlan(err)
		return
	}
	for i, hop := range t.order(plan.Hops) {
		if opening.Err() != nil {
			t.interrupted(opening)
			return
		}
		if i == routing.MaxHosts || t.silent >= maxSilent {
			break
		}
		if t.host(ctx, opening, &hop) {
			return
		}
	}
	t.exhausted()
}

// paced waits for the route's turn. Where that takes long the delivery goes back
// to the queue instead.
func (t *attempt) paced(ctx context.Context) bool {
	if t.probe {
		return true
	}
	if t.wait = t.courier.paces.wait(ctx, t.a.Delivery.Destination, t.route.Messages, t.route.DestinationMessages); t.wait > 0 {
		return false
	}
	if ctx.Err() != nil {
		t.interrupted(ctx)
		return false
	}
	return true
}

// match looks up the route of each recipient in the table of now. Those that
// belong elsewhere are sent back to the queue; of the others, as many as fit into
// one transaction stay.
func (t *attempt) match() bool {
	for i, n := range t.a.Pending {
		rcpt := t.a.Envelope.Recipients[n].Address
		route := t.rules.router.Match(t.a.Envelope, rcpt)
		switch {
		case (queue.Destination{Route: route.Name, Domain: route.Domain(rcpt)}) != t.a.Delivery.Destination:
			t.results[i].Verdict = queue.Reroute
		case len(t.todo) == t.rules.delivery.RecipientsPerTransaction:
			t.results[i].Verdict = queue.Again
		default:
			t.route = route
			t.todo = append(t.todo, i)
		}
	}
	if len(t.todo) == 0 {
		return false
	}
	t.isolate()
	return true
}

// order puts the hosts of a plan in the order of this attempt: first the one that
// may already have the message; then, if several MX hosts are as good as the
// first, one with a session at rest. Between smarthosts weights have decided.
func (t *attempt) order(hops []routing.NextHop) []routing.NextHop {
	if !t.route.Smarthost {
		for i, hop := range hops {
			if hop.Preference != hops[0].Preference {
				break
			}
			if t.courier.cache.has(t.key(&hop)) {
				hops = first(hops, i)
				break
			}
		}
	}
	if doubt := t.a.Delivery.InDoubt; doubt != "" {
		if i := slices.IndexFunc(hops, func(h routing.NextHop) bool { return h.Host == doubt }); i > 0 {
			hops = first(hops, i)
		}
	}
	return hops
}

// first returns a copy of hops in which number i leads.
func first(hops []routing.NextHop, i int) []routing.NextHop {
	if i == 0 {
		return hops
	}
	all := append([]routing.NextHop{hops[i]}, hops[:i]...)
	return append(all, hops[i+1:]...)
}

// host tries one host with all its addresses. It reports whether the matter is
// settled, for better or worse. With the end of opening no connection is made
// any more.
func (t *attempt) host(ctx, opening context.Context, hop *routing.NextHop) (settled bool) {
	t.hop = hop
	key := t.key(hop)
	if s := t.courier.cache.take(key, hop); s != nil {
		settled, stale := t.transaction(ctx, s)
		if !stale {
			return settled
		}
	}
	u := setup{courier: t.courier, rules: t.rules, route: t.route, hop: hop, key: key, phases: &t.phases,
		dead: func(a netip.AddrPort) { t.report(a.Addr(), false) }}
	addresses := addressesOf(hop)
	for len(addresses) > 0 && opening.Err() == nil && t.silent < maxSilent {
		s, address, err := u.open(opening, addresses)
		if err == nil {
			settled, _ := t.transaction(ctx, s)
			return settled
		}
		t.saw(hop.Host, address, "", nil)
		var x *trouble
		errors.As(err, &x)
		if opening.Err() != nil || !t.refused(hop, address, x) {
			break
		}
		addresses = slices.DeleteFunc(addresses, func(a netip.AddrPort) bool { return a == address })
	}
	if opening.Err() != nil {
		t.interrupted(opening)
		return true
	}
	return false
}

// key is what a session with hop must have in common with another to be shared.
func (t *attempt) key(hop *routing.NextHop) sessionKey {
	return newKey(t.rules, t.route, hop, t.requiresTLS())
}

// refused notes that a session with hop could not be made. It reports whether
// another address of the host may do better: yes where nothing was said, no where
// the host has spoken.
func (t *attempt) refused(hop *routing.NextHop, address netip.AddrPort, x *trouble) (goOn bool) {
	if !x.nowhere {
		t.stalled(x)
	}
	r := classify(x.at, x.reply, situation{smarthost: t.route.Smarthost})
	if x.at == atTLS && t.raisesTLS() {
		return t.refusedTLS(hop, x)
	}
	if r.avoid {
		t.report(address.Addr(), false)
	}
	if x.at == atTLS || x.at == atAuth {
		t.report(netip.Addr{}, false)
	}
	t.failures = append(t.failures, failure{host: hop.Host, ruling: r, reply: x.reply, reason: x.reason()})
	return x.reply.Code == 0 && x.at < atAuth && !x.nowhere
}

// stalled counts a session that ended by err, if that was for want of an answer.
func (t *attempt) stalled(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.silent++
	}
}

// report tells the router how hop does.
func (t *attempt) report(address netip.Addr, ok bool) {
	if t.rules.health != nil {
		t.rules.health.Report(t.hop, address, ok)
	}
}

// saw notes who was spoken to last, for the event.
func (t *attempt) saw(host string, address netip.AddrPort, tls string, inClear error) {
	t.event.Host, t.event.Address, t.event.TLS, t.event.Err = host, address, tls, inClear
}
