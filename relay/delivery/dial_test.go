package delivery

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/routing"
)

// network answers dials after a time, or fails them.
type network struct {
	mu     sync.Mutex // guards dialed
	dialed []string
	ends   map[string]dialEnd
	open   int // connections that nobody closed
}

type dialEnd struct {
	after time.Duration
	err   error
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dialed = append(n.dialed, address)
	end := n.ends[address]
	n.mu.Unlock()
	select {
	case <-time.After(end.after):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if end.err != nil {
		return nil, end.err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.open++
	return &plug{n: n}, nil
}

// plug is a connection that counts.
type plug struct {
	net.Conn
	n *network
}

func (p *plug) Close() error {
	p.n.mu.Lock()
	defer p.n.mu.Unlock()
	p.n.open--
	return nil
}

// TestHappyEyeballs is RFC 8305 section 5.
func TestHappyEyeballs(t *testing.T) {
	const a, b, c = "[2001:db8::1]:25", "192.0.2.1:25", "[2001:db8::2]:25"
	refused := errors.New("refused")
	for _, row := range []struct {
		why   string
		ends  map[string]dialEnd
		won   string // empty: none
		took  time.Duration
		tried int
		dead  []string
	}{
		{"the first answers at once", nil, a, 0, 1, nil},
		{"the first answers within its head start", map[string]dialEnd{a: {after: 200 * time.Millisecond}}, a, 200 * time.Millisecond, 1, nil},
		{"the first says nothing", map[string]dialEnd{a: {after: time.Hour}}, b, 250 * time.Millisecond, 2, nil},
		{"the first is refused", map[string]dialEnd{a: {err: refused}}, b, 0, 2, []string{a}},
		{"the first is slower than the second", map[string]dialEnd{a: {after: 300 * time.Millisecond}, b: {after: time.Second}}, a, 300 * time.Millisecond, 2, nil},
		{"only the last answers", map[string]dialEnd{a: {after: time.Hour}, b: {err: refused}}, c, 250 * time.Millisecond, 3, []string{b}},
		{"two answer at the same time", map[string]dialEnd{a: {after: 300 * time.Millisecond}, b: {after: 50 * time.Millisecond}}, "", 300 * time.Millisecond, 2, nil},
		{"none answers", map[string]dialEnd{a: {after: time.Hour}, b: {after: time.Hour}, c: {err: refused}}, "none", 30*time.Second + 250*time.Millisecond, 3, []string{c, a, b}},
	} {
		t.Run(row.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := &network{ends: row.ends}
				d := dialer{dial: n.dial, timeout: 30 * time.Second}
				var addresses []netip.AddrPort
				for _, s := range []string{a, b, c} {
					addresses = append(addresses, netip.MustParseAddrPort(s))
				}
				var dead []string
				start := time.Now()
				conn, address, err := d.connect(t.Context(), addresses, func(x netip.AddrPort) { dead = append(dead, x.String()) })
				if took := time.Since(start); took != row.took {
					t.Errorf("took %v, want %v", took, row.took)
				}
				switch row.won {
				case "none":
					if err == nil || n.open != 0 {
						t.Errorf("connected to %s, %d left open", address, n.open)
					}
				default:
					if err != nil || n.open != 1 || row.won != "" && address.String() != row.won {
						t.Errorf("connected to %s (%v), %d open; want %s", address, err, n.open, row.won)
					}
					conn.Close()
				}
				if len(n.dialed) != row.tried || !slices.Equal(dead, row.dead) {
					t.Errorf("dialed %v, dead %v", n.dialed, dead)
				}
			})
		})
	}
}

// TestDialIsStopped: the end of the context ends all dials, and no address is
// blamed for that.
func TestDialIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{ends: map[string]dialEnd{"192.0.2.1:25": {after: time.Hour}, "192.0.2.2:25": {after: time.Hour}}}
		d := dialer{dial: n.dial, timeout: 30 * time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, _, err := d.connect(ctx, []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:25"), netip.MustParseAddrPort("192.0.2.2:25")},
			func(x netip.AddrPort) { t.Errorf("%s was blamed", x) })
		if took := time.Since(start); err == nil || took != time.Second {
			t.Errorf("took %v: %v", took, err)
		}
	})
}

// TestEachAddressIsDialedOnce in an attempt, and a host whose first address says
// nothing is tried at the next one.
func TestAddressesOfOneHost(t *testing.T) {
	port := peer(t, nil).Addr().Port()
	mute := smtptest.StartAt(t, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port).String(), smtptest.Script{On: on{smtptest.Connect: shut}})
	host := routing.NextHop{Host: "mx.example.net", Port: port, Addresses: []netip.Addr{
		mute.Addr().Addr(), netip.MustParseAddr("127.0.0.1"),
	}}
	r := mx(host)
	if o := send(t, r, message(hello, "1@example.net")); o.Results[0].Verdict != queue.Success || o.Event.Address.Addr().String() != "127.0.0.1" {
		t.Errorf("outcome: %+v", o)
	}
	if up, told := r.reports["mx.example.net 127.0.0.2"]; up || !told {
		t.Errorf("router was told %v", r.reports)
	}

	var n network
	n.ends = map[string]dialEnd{}
	for _, a := range host.Addresses {
		n.ends[netip.AddrPortFrom(a, port).String()] = dialEnd{err: errors.New("refused")}
	}
	c := New(Options{Settings: settings(r), Dial: n.dial})
	t.Cleanup(c.Close)
	if o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net"))); o.Fault != queue.Unreachable || len(n.dialed) != 2 {
		t.Errorf("dialed %v: %+v", n.dialed, o)
	}
}
