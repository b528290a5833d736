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
	penaltySweep  = time.Minute      // between searches for what may be forgotten
)

// penalties remembers failed logins by address and by user, over connections. A
// guesser waits longer and longer for each "no". Only a "no" waits: the right
// password gets in at once, from whatever address and however many guesses others
// have made, so nobody can lock anybody out.
type penalties struct {
	mu        sync.Mutex // guards what follows
	addresses memory[addressKey]
	users     memory[string]
}

// memory holds the failures of at most penaltyCount keys.
type memory[K comparable] struct {
	tallies map[K]tally
	swept   time.Time
}

// tally is a number of failures that fades.
type tally struct {
	count float64
	at    time.Time
}

func newPenalties() *penalties {
	return &penalties{
		addresses: memory[addressKey]{tallies: make(map[addressKey]tally)},
		users:     memory[string]{tallies: make(map[string]tally)},
	}
}

// failed notes a failure, the nth of its session, and returns how long the
// answer has to wait.
func (p *penalties) failed(addr addressKey, user string, nth int, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.addresses.note(addr, now)
	if user != "" {
		before = max(before, p.users.note(user, now))
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
	delete(p.users.tallies, user)
	if t, ok := p.addresses.tallies[addr]; ok {
		// Others may be guessing from there.
		if t.count--; t.count < 1 {
			delete(p.addresses.tallies, addr)
		} else {
			p.addresses.tallies[addr] = t
		}
	}
}

// note counts one more for key and returns how many there had been.
func (m *memory[K]) note(key K, now time.Time) float64 {
	t, known := m.tallies[key]
	if !known && len(m.tallies) >= penaltyCount {
		m.makeRoom(now)
	}
	before := t.faded(now)
	m.tallies[key] = tally{before + 1, now}
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

// makeRoom drops what has faded, or else the one with the least count of a few:
// who fails most is remembered longest. It looks through all only now and then.
func (m *memory[K]) makeRoom(now time.Time) {
	if now.Sub(m.swept) >= penaltySweep {
		m.swept = now
		for k, t := range m.tallies {
			if t.faded(now) < 1 {
				delete(m.tallies, k)
			}
		}
	}
	for len(m.tallies) >= penaltyCount {
		var victim K
		least, looked := 0.0, 0
		for k, t := range m.tallies { // in random order
			if f := t.faded(now); looked == 0 || f < least {
				victim, least = k, f
			}
			if looked++; looked == 8 {
				break
			}
		}
		delete(m.tallies, victim)
	}
}
