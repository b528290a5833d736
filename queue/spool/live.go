package spool

import (
	"sync"

	"github.com/postrider/postrider/internal/mail"
)

// live is what is known about an unfinished message without reading it.
type live struct {
	size      int64 // of the content
	remaining int32 // unfinished deliveries
	// single: it began with one delivery, whose first state is in the message
	// record. Then number and first are that delivery's, and touched says that
	// table 03 has another record of it.
	single, touched bool
	number          uint32
	first           entry
}

// liveMessages remember messages from their commit to their end, so that those
// which are delivered soon are removed without a read. It is a cache of bounded
// size: what is not in it is read from the engine.
//
// It is also the lock that keeps the deliveries of one message apart. Whoever
// ends one must know how many are left, and his batch must be in the log before
// that of the next: otherwise a power cut between two could keep the removal of a
// message and lose the end of its last but one delivery.
type liveMessages struct {
	stripes [stripeCount]stripe
}

type stripe struct {
	mu sync.Mutex
	m  map[mail.ID]live
}

const (
	stripeCount = 64 // bits in a stripeSet
	stripeSize  = 256
)

func (l *liveMessages) stripe(id mail.ID) (*stripe, stripeSet) {
	n := id[len(id)-1] % stripeCount
	return &l.stripes[n], 1 << n
}

// stripeSet is a set of stripes, a bit each.
type stripeSet uint64

// lock locks the stripes of set, always in the same order.
func (l *liveMessages) lock(set stripeSet) {
	for n := range l.stripes {
		if set&(1<<n) != 0 {
			l.stripes[n].mu.Lock()
		}
	}
}

func (l *liveMessages) unlock(set stripeSet) {
	for n := range l.stripes {
		if set&(1<<n) != 0 {
			l.stripes[n].mu.Unlock()
		}
	}
}

// get, put and drop need the lock of id's stripe.
func (l *liveMessages) get(id mail.ID) (live, bool) {
	s, _ := l.stripe(id)
	m, ok := s.m[id]
	return m, ok
}

func (l *liveMessages) put(id mail.ID, m live) {
	s, _ := l.stripe(id)
	if s.m == nil {
		s.m = make(map[mail.ID]live)
	}
	if _, known := s.m[id]; !known && len(s.m) >= stripeSize {
		for old := range s.m { // any will do
			delete(s.m, old)
			break
		}
	}
	s.m[id] = m
}

func (l *liveMessages) drop(id mail.ID) {
	s, _ := l.stripe(id)
	delete(s.m, id)
}

// reset forgets everything.
func (l *liveMessages) reset() {
	for n := range l.stripes {
		s := &l.stripes[n]
		s.mu.Lock()
		clear(s.m)
		s.mu.Unlock()
	}
}
