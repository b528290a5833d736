package policy

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// Bounds of password checking.
const (
	verifyWait       = 10 * time.Second // a login may wait for its turn
	verifyQueue      = 128              // logins waiting or being checked, in all
	verifyPerAddress = 32               // ... of one client address
	rememberFor      = 10 * time.Minute
	rememberMost     = 8192
)

// processKey keys what must not be predictable from outside, and is forgotten
// with the process.
var processKey = randomBytes(32)

// Errors of a login that say more than its reply; they are for the log.
var (
	errBusy = errors.New("too many logins are waiting for their passwords to be checked")
	errSlow = errors.New("the password was not checked in time")
)

// Passwords checks passwords so that it stays cheap for those who log in often
// and never takes more than half the machine for those who guess.
//
// A pair that was right is remembered for ten minutes by a keyed hash of name,
// password and stored verifier: a changed or removed line is never answered from
// memory, so one Passwords can serve all authenticators over all reloads. Equal
// pairs that come at once are checked once.
type Passwords struct {
	slots chan struct{} // one for each check that may run

	mu         sync.Mutex                // guards what follows
	remembered map[passwordKey]time.Time // until when
	running    map[passwordKey]*check
	perAddress map[netip.Addr]int // clients in running, by address
}

type passwordKey [sha256.Size]byte

// check is one run of a Verifier; ok and err may be read once done is closed.
type check struct {
	done chan struct{}
	ok   bool
	err  error
}

// NewPasswords returns an empty memory with half the machine's cores to check
// what is not in it, at least one.
func NewPasswords() *Passwords {
	return &Passwords{
		slots:      make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		remembered: make(map[passwordKey]time.Time),
		running:    make(map[passwordKey]*check),
		perAddress: make(map[netip.Addr]int),
	}
}

// Verify reports whether password is right for the named user, of whom v is
// kept. from is the client; one address can't fill the queue of waiting checks.
// An error means that it was not checked.
func (p *Passwords) Verify(ctx context.Context, from net.Addr, name, password string, v Verifier) (bool, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, verifyWait, errSlow)
	defer cancel()
	key, address := keyOf(name, password, v.String()), hostOf(from)
	for {
		known, c, first, err := p.join(key, address)
		if known || err != nil {
			return known, err
		}
		if first {
			defer p.finish(key, address, c)
			c.ok, c.err = p.run(ctx, password, v)
			return c.ok, c.err
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
		if c.err == nil {
			return c.ok, nil
		}
		// The client whose check this was gave up; it is our turn.
	}
}

// join looks for key among what is remembered and what is being checked. first
// tells the caller that the check is now its own to run and finish.
func (p *Passwords) join(key passwordKey, address netip.Addr) (known bool, c *check, first bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if until, ok := p.remembered[key]; ok && time.Now().Before(until) {
		return true, nil, false, nil
	}
	if c, ok := p.running[key]; ok {
		return false, c, false, nil
	}
	if len(p.running) >= verifyQueue || p.perAddress[address] >= verifyPerAddress {
		return false, nil, false, errBusy
	}
	c = &check{done: make(chan struct{}), err: errBusy} // until it is known
	p.running[key] = c
	p.perAddress[address]++
	return false, c, true, nil
}

// run waits for a slot and checks.
func (p *Passwords) run(ctx context.Context, password string, v Verifier) (bool, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	defer func() { <-p.slots }()
	return v.Verify(password), nil
}

// finish tells those who wait for c, and remembers what was right.
func (p *Passwords) finish(key passwordKey, address netip.Addr, c *check) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, key)
	if p.perAddress[address]--; p.perAddress[address] == 0 {
		delete(p.perAddress, address)
	}
	if c.ok {
		p.remember(key)
	}
	close(c.done)
}

// remember makes room first: what is past its time goes, and if that is not
// enough, an arbitrary half.
func (p *Passwords) remember(key passwordKey) {
	now := time.Now()
	if len(p.remembered) >= rememberMost {
		maps.DeleteFunc(p.remembered, func(_ passwordKey, until time.Time) bool { return !now.Before(until) })
		for k := range p.remembered {
			if len(p.remembered) <= rememberMost/2 {
				break
			}
			delete(p.remembered, k)
		}
	}
	p.remembered[key] = now.Add(rememberFor)
}

// keyOf hashes the parts with their lengths, so that no two lists of parts look
// alike.
func keyOf(parts ...string) (key passwordKey) {
	m := hmac.New(sha256.New, processKey)
	var n [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		m.Write(n[:])
		io.WriteString(m, part)
	}
	m.Sum(key[:0])
	return key
}

// hostOf returns what of a client's address can be told apart from its
// neighbours': an IPv4 address, an IPv6 network of 64 bits, or the zero Addr on a
// unix socket.
func hostOf(a net.Addr) netip.Addr {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	host := t.AddrPort().Addr().Unmap().WithZone("")
	if host.Is6() {
		network, _ := host.Prefix(64)
		return network.Addr()
	}
	return host
}
