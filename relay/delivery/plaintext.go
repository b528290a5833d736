package delivery

import (
	"sync"
	"time"
)

// Bounds of what is remembered about hosts whose TLS is broken.
const (
	maxPlaintext = 1000
	// plaintextTime is how long such a host is spoken to in clear at once. It is
	// short, because a host that is mended should soon have its mail encrypted.
	plaintextTime = 10 * time.Minute
)

// plaintext remembers the hosts with which an opportunistic handshake failed
// lately, so that not every session with them costs two connections. It is only
// asked where the policy allows mail in clear anyway.
type plaintext struct {
	mu    sync.Mutex // guards hosts
	hosts map[endpoint]brokenTLS
}

// endpoint is a host and its port.
type endpoint struct {
	host string
	port uint16
}

type brokenTLS struct {
	cause error
	until time.Time
}

// add notes that a handshake with e failed by cause.
func (p *plaintext) add(e endpoint, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hosts == nil || len(p.hosts) >= maxPlaintext {
		p.hosts = make(map[endpoint]brokenTLS) // a handshake more for each is no harm
	}
	p.hosts[e] = brokenTLS{cause, time.Now().Add(plaintextTime)}
}

// why returns why e is to be spoken to in clear, or nil if TLS is to be tried.
func (p *plaintext) why(e endpoint) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.hosts[e]
	if !ok {
		return nil
	}
	if time.Now().After(known.until) {
		delete(p.hosts, e)
		return nil
	}
	return known.cause
}

// forget gives every host another chance.
func (p *plaintext) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.hosts)
}
