package delivery

import (
	"net/netip"
	"sync"
	"time"
)

// Bounds on the memory of addresses that fail.
const (
	avoidFirst  = time.Minute      // after the first failure, doubled by each further one
	avoidMost   = 15 * time.Minute // so that a repaired host is noticed
	maxAvoided  = 4096             // addresses
	maxDoubling = 4
)

// failing remembers addresses that could not be connected to or asked to be left
// alone. They are tried last, not never: the memory only changes an order.
type failing struct {
	mu sync.Mutex // guards at
	at map[netip.AddrPort]lapse
}

type lapse struct {
	until time.Time
	times int
}

// add notes that address failed just now.
func (f *failing) add(address netip.AddrPort) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == nil {
		f.at = make(map[netip.AddrPort]lapse)
	}
	old, known := f.at[address]
	if !known && len(f.at) >= maxAvoided {
		f.makeRoom(now)
	}
	wait := min(avoidFirst<<min(old.times, maxDoubling), avoidMost)
	f.at[address] = lapse{until: now.Add(wait), times: old.times + 1}
}

// makeRoom forgets what is over, and one entry in any case.
func (f *failing) makeRoom(now time.Time) {
	for address, x := range f.at {
		if now.After(x.until) {
			delete(f.at, address)
		}
	}
	for address := range f.at {
		if len(f.at) < maxAvoided {
			return
		}
		delete(f.at, address)
	}
}

// remove notes that address works.
func (f *failing) remove(address netip.AddrPort) {
	f.mu.Lock()
	delete(f.at, address)
	f.mu.Unlock()
}

// has reports whether address failed lately.
func (f *failing) has(address netip.AddrPort) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	x, ok := f.at[address]
	return ok && time.Now().Before(x.until)
}
