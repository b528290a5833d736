package submission

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
)

// Reloadable is the part of Options that may change while the server runs.
type Reloadable struct {
	Hostname    string
	Listeners   []config.Listener
	Limits      config.Submission
	MaxFailures int
}

// Prepare opens the addresses that r adds, and changes nothing for clients yet. If
// one of them can't be opened none is, and the error names it. Otherwise apply,
// which is to be called once and can't fail, puts r in force: a listener whose
// address stays keeps its socket and loses no client that is just connecting.
// Sessions of a listener that is gone, or no longer what it was, are answered 421
// when their transaction has ended; others take new limits with their next
// transaction.
//
// Between the two the caller swaps what has to be in force before the first
// client of a new listener is served. Only one reload may be on its way.
func (s *Server) Prepare(ctx context.Context, r Reloadable) (apply func(), err error) {
	c := &change{settings: newSettings(r.Hostname, r.Limits, r.MaxFailures)}
	kept := make(map[string]*socket)
	s.mu.Lock()
	for _, k := range s.sockets {
		address := k.now.Load().conf.Address
		if slices.ContainsFunc(r.Listeners, func(l config.Listener) bool { return l.Address == address }) {
			kept[address] = k
		} else {
			c.closed = append(c.closed, k)
		}
	}
	s.mu.Unlock()
	for _, l := range r.Listeners {
		if err := c.add(ctx, l, kept[l.Address]); err != nil {
			c.undo()
			return nil, fmt.Errorf("listener %s: %w", l.Address, err)
		}
	}
	return func() { s.apply(c) }, nil
}

// change is a reload on its way.
type change struct {
	settings  *settings
	sockets   []*socket   // in the order of the configuration
	listeners []*listener // what each of them will be
	opened    []*socket
	closed    []*socket // those whose addresses are gone
	narrowed  []*socket // unix sockets that fewer may connect to already
}

// add takes a listener on, at the socket it has kept, or opens one if k is nil.
func (c *change) add(ctx context.Context, conf config.Listener, k *socket) error {
	if k == nil {
		k, err := listen(ctx, conf, c.closing()...)
		if err != nil {
			return err
		}
		c.opened = append(c.opened, k)
		c.sockets, c.listeners = append(c.sockets, k), append(c.listeners, k.now.Load())
		return nil
	}
	l := k.now.Load()
	if !l.is(conf) {
		var err error
		if l, err = newListener(conf, k.Addr()); err != nil {
			return err
		}
		if socketMode(conf.Auth) < k.mode() {
			// Nobody may slip in under what the listener lends from now on.
			if err := k.chmod(conf.Auth); err != nil {
				return err
			}
			c.narrowed = append(c.narrowed, k)
		}
	}
	c.sockets, c.listeners = append(c.sockets, k), append(c.listeners, l)
	return nil
}

// closing returns what makes room for new addresses that overlap.
func (c *change) closing() []net.Listener {
	list := make([]net.Listener, len(c.closed))
	for i, k := range c.closed {
		list[i] = k.Listener
	}
	return list
}

// undo leaves everything as it was.
func (c *change) undo() {
	for _, k := range c.opened {
		_ = k.Close()
	}
	for _, k := range c.narrowed {
		_ = k.chmod(k.now.Load().conf.Auth)
	}
}

// apply puts a change in force.
func (s *Server) apply(c *change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.undo()
		return
	}
	s.settings.Store(c.settings)
	for _, k := range c.closed {
		k.now.Load().retired.Store(true)
		_ = k.Close()
	}
	for i, k := range c.sockets {
		if old := k.now.Swap(c.listeners[i]); old != c.listeners[i] {
			old.retired.Store(true)
			if err := k.chmod(c.listeners[i].conf.Auth); err != nil {
				s.opt.Logger.Error("permissions of a socket", "listener", c.listeners[i].name, "error", err)
			}
		}
	}
	s.sockets = c.sockets
	for _, k := range c.opened {
		s.accepts.Go(func() { s.accept(k) })
	}
	for session := range s.sessions {
		if session.lst.retired.Load() {
			session.wake()
		}
	}
}

// mode returns who may connect; zero on the network, where that is no question.
func (k *socket) mode() fs.FileMode {
	if l := k.now.Load(); l.unix {
		return socketMode(l.conf.Auth)
	}
	return 0
}

// chmod lets those connect that auth is for. On the network it does nothing.
func (k *socket) chmod(auth config.ListenerAuth) error {
	l := k.now.Load()
	if !l.unix {
		return nil
	}
	return os.Chmod(strings.TrimPrefix(l.conf.Address, unixPrefix), socketMode(auth))
}
