package delivery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/postrider/postrider/routing"
)

// headStart is how long one address is ahead of the next: the Connection Attempt
// Delay of RFC 8305 section 5.
const headStart = 250 * time.Millisecond

// maxAddresses is how many addresses of one host are tried.
const maxAddresses = 8

// dialer opens connections to hosts that have several addresses.
type dialer struct {
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	timeout time.Duration // for one address
	failing *failing
}

// order returns the addresses of hop as they are to be tried: the families take
// turns, beginning with that of the first (RFC 8305 section 4), and those that
// failed lately come last.
func (d *dialer) order(hop *routing.NextHop) []netip.AddrPort {
	if len(hop.Addresses) == 1 {
		return []netip.AddrPort{netip.AddrPortFrom(hop.Addresses[0], hop.Port)}
	}
	var families [2][]netip.Addr
	for _, a := range hop.Addresses {
		i := 0
		if a.Is4() != hop.Addresses[0].Is4() {
			i = 1
		}
		families[i] = append(families[i], a)
	}
	var good, bad []netip.AddrPort
	for i := range len(hop.Addresses) {
		for _, family := range families {
			if i >= len(family) {
				continue
			}
			address := netip.AddrPortFrom(family[i], hop.Port)
			if d.failing.has(address) {
				bad = append(bad, address)
			} else {
				good = append(good, address)
			}
		}
	}
	all := append(good, bad...)
	return all[:min(len(all), maxAddresses)]
}

// dialed is the end of one dial.
type dialed struct {
	conn    net.Conn
	address netip.AddrPort
	err     error
}

// connect returns a connection to the first of addresses that answers: the next
// one is dialed when one has failed, or has not answered within headStart. It
// returns only when all dials have ended.
func (d *dialer) connect(ctx context.Context, addresses []netip.AddrPort) (net.Conn, netip.AddrPort, error) {
	if len(addresses) == 1 {
		x := d.one(ctx, addresses[0])
		return x.conn, x.address, x.err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := make(chan dialed, len(addresses))
	timer := time.NewTimer(0)
	defer timer.Stop()
	var won dialed
	var errs []error
	for next, running := 0, 0; next < len(addresses) && won.conn == nil || running > 0; {
		select {
		case <-timer.C:
			if next < len(addresses) && won.conn == nil {
				address := addresses[next]
				go func() { ends <- d.one(ctx, address) }()
				next, running = next+1, running+1
				timer.Reset(headStart)
			}
		case x := <-ends:
			running--
			switch {
			case x.err != nil:
				errs = append(errs, x.err)
				timer.Reset(0)
			case won.conn != nil:
				x.conn.Close()
			default:
				won = x
				cancel()
			}
		}
	}
	if won.conn == nil {
		return nil, addresses[0], errors.Join(errs...)
	}
	return won.conn, won.address, nil
}

// one dials address and remembers whether it answered.
func (d *dialer) one(ctx context.Context, address netip.AddrPort) dialed {
	dialCtx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	conn, err := d.dial(dialCtx, "tcp", address.String())
	switch {
	case err == nil:
		d.failing.remove(address)
	case ctx.Err() == nil:
		d.failing.add(address)
	}
	return dialed{conn, address, err}
}

// rested moves hops whose every address failed lately behind the others. MX hosts
// of one domain take this from here; the order of smarthosts is the route's.
func (d *dialer) rested(hops []routing.NextHop) []routing.NextHop {
	if len(hops) < 2 {
		return hops
	}
	tired := func(hop routing.NextHop) bool {
		return len(hop.Addresses) > 0 && !slices.ContainsFunc(hop.Addresses, func(a netip.Addr) bool {
			return !d.failing.has(netip.AddrPortFrom(a, hop.Port))
		})
	}
	var front, back []routing.NextHop
	for _, hop := range hops {
		if tired(hop) {
			back = append(back, hop)
		} else {
			front = append(front, hop)
		}
	}
	return append(front, back...)
}
