package spool

import "sync"

// sharedSync lets callers that want the same thing synced share one sync. What a
// caller did before is durable when sync returns nil: the sync it got began later.
type sharedSync struct {
	turn sync.Mutex // held by the sync that runs

	mu   sync.Mutex // guards next
	next *syncRound // has not begun; nil if nobody waits
}

// syncRound is one sync and those who wait for it.
type syncRound struct {
	done chan struct{}
	err  error // to be read after done
}

func (d *sharedSync) sync(do func() error) error {
	d.mu.Lock()
	r := d.next
	if r != nil {
		d.mu.Unlock()
		<-r.done
		return r.err
	}
	r = &syncRound{done: make(chan struct{})}
	d.next = r
	d.mu.Unlock()

	d.turn.Lock()
	d.mu.Lock()
	d.next = nil // who comes now may have come too late for this one
	d.mu.Unlock()
	r.err = do()
	d.turn.Unlock()
	close(r.done)
	return r.err
}
