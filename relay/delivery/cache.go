package delivery

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/routing"
)

// Bounds on sessions that are kept for further messages.
const (
	maxIdle         = 256             // sessions at rest
	maxSessionAge   = 5 * time.Minute // since the connect
	maxTransactions = 1000            // in one session
	maxParting      = 64              // sessions that are waiting for 221 at once
)

// cache keeps sessions at rest until another message goes the same way. It has no
// goroutine of its own: a timer runs while anything is in it.
type cache struct {
	timeouts func() *Timeouts
	rest     func() time.Duration // how long a session may rest

	mu     sync.Mutex // guards what follows
	idle   map[sessionKey][]*session
	count  int
	timer  *time.Timer
	closed bool

	parting  sync.WaitGroup // sessions being ended
	partings chan struct{}  // bounds them
}

func newCache(rest func() time.Duration, timeouts func() *Timeouts) *cache {
	return &cache{
		rest: rest, timeouts: timeouts,
		idle:     make(map[sessionKey][]*session),
		partings: make(chan struct{}, maxParting),
	}
}

// take returns a session for key with one of hop's addresses that the peer has not
// closed, or nil. The one that rested last is first: it is the least likely to be
// closed, and the others may come to their end.
func (c *cache) take(key sessionKey, hop *routing.NextHop) *session {
	for {
		s := c.pop(key, hop.Addresses)
		if s == nil {
			return nil
		}
		if time.Since(s.born) < maxSessionAge && time.Since(s.idle) < c.rest() && !s.buffered() && quiet(s.tcp) {
			return s
		}
		c.part(s)
	}
}

func (c *cache) pop(key sessionKey, addresses []netip.Addr) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := c.idle[key]
	for i, s := range slices.Backward(list) {
		if slices.Contains(addresses, s.address.Addr()) {
			c.set(key, slices.Delete(list, i, i+1))
			return s
		}
	}
	return nil
}

// has reports whether a session for key is at rest.
func (c *cache) has(key sessionKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.idle[key]) > 0
}

// set replaces the list of key. mu is held.
func (c *cache) set(key sessionKey, list []*session) {
	c.count += len(list) - len(c.idle[key])
	if len(list) == 0 {
		delete(c.idle, key)
		return
	}
	c.idle[key] = list
}

// put keeps s for further messages, or ends it.
func (c *cache) put(s *session) {
	s.idle = time.Now()
	s.conn.SetDeadline(time.Time{})
	if s.lost || s.over || s.messages >= maxTransactions || time.Since(s.born) >= maxSessionAge || c.rest() <= 0 || !c.keep(s) {
		c.part(s)
	}
}

func (c *cache) keep(s *session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.count >= maxIdle {
		return false
	}
	list := c.idle[s.key]
	c.idle[s.key] = append(list, s)
	c.count++
	if c.timer == nil {
		c.timer = time.AfterFunc(c.rest(), c.sweep)
	}
	return true
}

// sweep ends what has rested too long, and runs again while there is more.
func (c *cache) sweep() {
	rest := c.rest()
	c.drop(func(s *session) bool { return time.Since(s.idle) >= rest || time.Since(s.born) >= maxSessionAge })
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = nil
	if c.count > 0 && !c.closed {
		c.timer = time.AfterFunc(max(rest/4, time.Second), c.sweep)
	}
}

// drop ends the sessions at rest that are no longer good for anything.
func (c *cache) drop(useless func(*session) bool) {
	c.mu.Lock()
	var ended []*session
	for key, list := range c.idle {
		keep := list[:0:0]
		for _, s := range list {
			if useless(s) {
				ended = append(ended, s)
			} else {
				keep = append(keep, s)
			}
		}
		c.set(key, keep)
	}
	c.mu.Unlock()
	for _, s := range ended {
		c.part(s)
	}
}

// part ends a session with QUIT, without making anyone wait for it. Beyond a
// bound, and after close, it is just closed; so is one that is out of step, where
// QUIT might be taken for content.
func (c *cache) part(s *session) {
	if s.lost {
		s.conn.Close()
		return
	}
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.parting.Add(1)
	}
	c.mu.Unlock()
	if closed {
		s.conn.Close()
		return
	}
	c.quit(s)
}

// quit says QUIT in the background. It has been counted in parting.
func (c *cache) quit(s *session) {
	select {
	case c.partings <- struct{}{}:
	default:
		s.conn.Close()
		c.parting.Done()
		return
	}
	go func() {
		defer c.parting.Done()
		defer func() { <-c.partings }()
		s.quit(c.timeouts())
	}()
}

// close ends everything and waits, as long as a QUIT may take.
func (c *cache) close() {
	c.mu.Lock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	idle := c.idle
	c.idle, c.count = make(map[sessionKey][]*session), 0
	for _, list := range idle {
		c.parting.Add(len(list))
	}
	c.mu.Unlock()
	for _, list := range idle {
		for _, s := range list {
			c.quit(s)
		}
	}
	c.parting.Wait()
}
