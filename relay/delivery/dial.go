package delivery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
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
}

// addressesOf returns the addresses of hop with its port, in routing's order.
func addressesOf(hop *routing.NextHop) []netip.AddrPort {
	all := make([]netip.AddrPort, min(len(hop.Addresses), maxAddresses))
	for i := range all {
		all[i] = netip.AddrPortFrom(hop.Addresses[i], hop.Port)
	}
	return all
}

// dialed is the end of one dial.
type dialed struct {
	conn    net.Conn
	address netip.AddrPort
	err     error
}

// connect returns a connection to the first of addresses that answers: the next
// one is dialed when one has failed, or has not answered within headStart. It
// returns only when all dials have ended. dead is told of addresses that failed.
func (d *dialer) connect(ctx context.Context, addresses []netip.AddrPort, dead func(netip.AddrPort)) (net.Conn, netip.AddrPort, error) {
	if len(addresses) == 1 {
		x := d.one(ctx, addresses[0])
		if x.err != nil && ctx.Err() == nil {
			dead(x.address)
		}
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
				if ctx.Err() == nil {
					dead(x.address)
				}
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
		return nil, addresses[0], unconnectable(errs)
	}
	return won.conn, won.address, nil
}

func (d *dialer) one(ctx context.Context, address netip.AddrPort) dialed {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	conn, err := d.dial(ctx, "tcp", address.String())
	if err != nil {
		err = &unconnected{address, err}
	}
	return dialed{conn, address, err}
}

// unconnected is an address that could not be connected to. It stands in reports
// to senders, so it says no more than they can make use of.
type unconnected struct {
	address netip.AddrPort
	cause   error
}

// Unwrap returns the cause.
func (u *unconnected) Unwrap() error { return u.cause }

// Error names the address and what happened, without the layers of the library.
func (u *unconnected) Error() string {
	what := u.cause.Error()
	if errno, ok := errors.AsType[syscall.Errno](u.cause); ok {
		what = errno.Error()
	} else if e, ok := errors.AsType[net.Error](u.cause); ok && e.Timeout() {
		what = "no answer in time"
	}
	return u.address.String() + ": " + what
}

// unconnectable is a host none of whose addresses could be connected to.
type unconnectable []error

// Unwrap returns what happened at each address.
func (u unconnectable) Unwrap() []error { return u }

// Error says it all in one line.
func (u unconnectable) Error() string {
	words := make([]string, len(u))
	for i, err := range u {
		words[i] = err.Error()
	}
	return strings.Join(words, "; ")
}
