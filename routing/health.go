package routing

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// How long what failed is tried last: longer each time, until it works again.
// While one attempt probes it the others still leave it alone.
const (
	firstPenalty = 30 * time.Second
	lastPenalty  = 10 * time.Minute
	probeTime    = 30 * time.Second
	maxTroubles  = 4096
)

// subject is what may fail: an address and port, or a host and port.
type subject struct {
	host string
	addr netip.AddrPort
}

func addressSubject(addr netip.Addr, port uint16) subject {
	return subject{addr: netip.AddrPortFrom(addr, port)}
}

func hostSubject(host string, port uint16) subject {
	return subject{host: host, addr: netip.AddrPortFrom(netip.Addr{}, port)}
}

// health remembers what failed lately, at most limit subjects.
type health struct {
	limit int
	size  atomic.Int64 // of troubles, so that all is well costs no lock

	mu       sync.Mutex // guards troubles
	troubles map[subject]trouble
}

// trouble of one subject. While probing, until is when the probe is given up.
type trouble struct {
	until   time.Time
	penalty time.Duration
	probing bool
}

func newHealth(limit int) *health {
	return &health{limit: limit, troubles: map[subject]trouble{}}
}

// failing reports whether s is to be tried last. When its time is over, the one
// caller with claim is told that it is well and so tries it.
func (h *health) failing(s subject, now time.Time, claim bool) bool {
	if h.size.Load() == 0 {
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t, ok := h.troubles[s]
	if !ok {
		return false
	}
	if now.Before(t.until) {
		return true
	}
	if claim {
		t.until, t.probing = now.Add(probeTime), true
		h.troubles[s] = t
	}
	return false
}

// trouble notes that s failed. Several attempts that fail together count as one.
func (h *health) trouble(s subject, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t, known := h.troubles[s]
	switch {
	case !known:
		t.penalty = firstPenalty
		if len(h.troubles) >= h.limit {
			evict(h.troubles, func(t trouble) time.Time { return t.until })
		}
	case now.Before(t.until) && !t.probing:
		return // this attempt began before it was known
	default:
		t.penalty = min(2*t.penalty, lastPenalty)
	}
	t.until, t.probing = now.Add(t.penalty), false
	h.troubles[s] = t
	h.size.Store(int64(len(h.troubles)))
}

// well notes that s works.
func (h *health) well(s subject) {
	if h.size.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.troubles, s)
	h.size.Store(int64(len(h.troubles)))
}
