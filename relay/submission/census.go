package submission

import (
	"net"
	"net/netip"
	"sync"
)

// census counts connections by whom they belong to. It holds as many entries as
// there are connections at most.
type census[K comparable] struct {
	mu     *sync.Mutex // guards counts
	counts map[K]int
}

func newCensus[K comparable]() census[K] {
	return census[K]{mu: new(sync.Mutex), counts: make(map[K]int)}
}

// join counts one more for key, unless it has limit already (0: no limit).
func (c census[K]) join(key K, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if limit > 0 && c.counts[key] >= limit {
		return false
	}
	c.counts[key]++
	return true
}

// quit undoes one join.
func (c census[K]) quit(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts[key]--; c.counts[key] <= 0 {
		delete(c.counts, key)
	}
}

// addressKey is what counts as one client address: an IPv4 address, or the /64 a
// single IPv6 host can pick from as it likes. Zero for unix sockets.
type addressKey struct {
	prefix netip.Prefix
}

func keyOf(a netip.Addr) addressKey {
	if !a.IsValid() {
		return addressKey{}
	}
	bits := 32
	if a.Is6() {
		bits = 64
	}
	prefix, _ := a.Prefix(bits) // fails for bits out of range only
	return addressKey{prefix}
}

// addrPort returns a TCP address as netip has it; zero for others.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
