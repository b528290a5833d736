package submission

import (
	"sync"
	"time"
)

// How failed logins slow down who fails.
const (
	penaltyFirst  = time.Second      // after a session's first failure; doubles with each
	penaltyMost   = 10 * time.Second // for one failure
	penaltyMemory = 15 * time.Minute // half of it is forgotten in this time
	penaltyCount  = 4096             // addresses, and users, remembered
)

// penalties remembers failed logins by address and by user, over connections. A
// guesser waits longer and longer for each "no". Only a "no" waits: the right
// password gets in at once, from whatever address and however many guesses others
// have made, so nobody can lock anybody out.
type penalties struct {
	mu        sync.Mutex // guards what follows
	addresses map[addressKey]tally
	users     map[string]tally
}

// tally is a number of failures that fades.
type tally struct {
	count float64
	at    time.Time
}

func newPenalties() *penalties {
	return &penalties{addresses: make(map[addressKey]tally), users: make(map[string]tally)}
}

// failed notes a failure, the nth of its session, and returns how long the
// answer has to wait.
func (p *penalties) failed(addr addressKey, user string, nth int, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := note(p.addresses, addr, now)
	if user != "" {
		before = max(before, note(p.users, user, now))
	}
	// A user's typing errors cost a second; from the fifth failure of an address
	// or a user on, each costs more, whichever session it is in.
	doublings := max(nth-1, int(before)-3, 0)
	if doublings > 10 {
		return penaltyMost
	}
	return min(penaltyFirst<<doublings, penaltyMost)
}

// forgive forgets the failures of who got in after all.
func (p *penalties) forgive(addr addressKey, user string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.users, user)
	if t, ok := p.addresses[addr]; ok {
		// Others may be guessing from there.
		if t.count--; t.count < 1 {
			delete(p.addresses, addr)
		} else {
			p.addresses[addr] = t
		}
	}
}

// note counts one more for key and returns how many there had been.
func note[K comparable](m map[K]tally, key K, now time.Time) float64 {
	t, known := m[key]
	if !known && len(m) >= penaltyCount {
		makeRoom(m, now)
	}
	before := t.faded(now)
	m[key] = tally{before + 1, now}
	return before
}

// faded returns what is left of the count.
func (t tally) faded(now time.Time) float64 {
	halves := float64(now.Sub(t.at)) / float64(penaltyMemory)
	switch {
	case t.count == 0 || halves > 10:
		return 0
	case halves <= 0:
		return t.count
	}
	// Linear between halvings is close enough.
	for ; halves >= 1; halves-- {
		t.count /= 2
	}
	return t.count * (1 - halves/2)
}

// makeRoom drops what has faded, or else a few with the least count of those it
// looks at: who fails most is remembered longest.
func makeRoom[K comparable](m map[K]tally, now time.Time) {
	for k, t := range m {
		if t.faded(now) < 1 {
			delete(m, k)
		}
	}
	for len(m) >= penaltyCount {
		var victim K
		least, looked := 0.0, 0
		for k, t := range m { // in random order
			if f := t.faded(now); looked == 0 || f < least {
				victim, least = k, f
			}
			if looked++; looked == 8 {
				break
			}
		}
		delete(m, victim)
	}
}
