package queue

import (
	"sync"
	"time"
)

// scheduler decides which delivery starts next. It holds one hop for each
// destination with a backlog and takes turns between them; nothing in it grows
// with the number of messages. It neither reads nor writes the store: a worker
// that comes for work may be sent to read a page instead.
type scheduler struct {
	plan  func() *retryPlan
	now   func() time.Time
	start func()        // starts a worker; called with mu held
	wake  chan struct{} // tells the keeper that the earliest alarm has changed

	mu      sync.Mutex            // guards everything below
	bound   func(Destination) int // attempts at once at one destination
	max     int                   // workers at once
	workers int
	halted  int // reasons not to start anything; 0 is to go on
	hops    map[Destination]*hop
	rings   [len(turnWeights)]ring[*hop] // those that may start something now
	credit  [len(turnWeights)]int
	busy    map[string]int // attempts running, by identity
	light   map[string]int // of these, those that took a light turn, while not heavy
	lesser  int            // all others that run
	alarms  alarms
	// claimed holds the deliveries that somebody is changing: a worker, an
	// operator, or a commit that creates them. Nobody else may start or change
	// them; what an operator wants done with one that is being attempted is
	// noted as a wish, after those noted before.
	claimed map[DeliveryKey][]wish
	parked  map[DeliveryKey]parked
	unpark  alarm // when the parked come back
	// parkedSince is when the first of them was parked.
	parkedSince time.Time
}

// job is what a worker is to do: read the next page of lane, or attempt entry.
type job struct {
	lane  *lane
	entry entry
	read  bool
	turn  turn
	// after is where to go on reading.
	after Place
}

// newScheduler makes a scheduler that starts nothing before resume.
func newScheduler(plan func() *retryPlan, now func() time.Time, bound func(Destination) int, start func()) *scheduler {
	return &scheduler{
		plan: plan, now: now, bound: bound, start: start, wake: make(chan struct{}, 1),
		halted: 1, hops: make(map[Destination]*hop), claimed: make(map[DeliveryKey][]wish),
		parked: make(map[DeliveryKey]parked), busy: make(map[string]int), light: make(map[string]int), credit: turnWeights,
	}
}

// restore takes up a lane found in the store, with the first due time in it, to be
// read from the beginning.
func (s *scheduler) restore(name Lane, first time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.hop(name.Destination).lane(name)
	l.rewind(Place{}, first)
	s.evaluate(l)
	return nil
}

// resize changes the bounds; zero leaves workers as they are. What bound returns may
// have changed.
func (s *scheduler) resize(workers int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if workers > 0 {
		s.max = workers
	}
	for _, h := range s.hops {
		h.bound = s.bound(h.Destination)
		// Due times beyond the horizon of shorter intervals are due now.
		for _, l := range h.lanes {
			s.evaluate(l)
		}
		s.arm(h)
	}
	s.staff()
}

// follow takes up a step of the clock: pauses last as long as they were meant to.
func (s *scheduler) follow(step time.Duration) {
	step = step.Truncate(time.Millisecond) // as all times are
	s.mu.Lock()
	for _, h := range s.hops {
		h.health.shift(step)
		h.senders.shift(step)
		h.idle = time.Time{}
	}
	s.unparkAll()
	s.mu.Unlock()
	s.resize(0)
}

// next returns the next job. Without one the worker is signed off.
func (s *scheduler) next() (job, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.halted == 0 {
		h, t, ok := s.nextHop()
		if !ok {
			break
		}
		if !s.open(h) {
			s.arm(h) // it was closed while it waited for its turn
			continue
		}
		j, ok := s.take(h, t)
		s.arm(h)
		if ok {
			s.staff()
			return j, true
		}
	}
	s.workers--
	return job{}, false
}

// take chooses a job at h.
func (s *scheduler) take(h *hop, t turn) (job, bool) {
	for {
		l, ok := s.pick(h, t)
		if !ok {
			return job{}, false
		}
		if !s.due(h.senders.aside(l.Sender)) { // as evaluate asks, or this would not end
			s.evaluate(l) // the sender was refused while its lane was ready
			continue
		}
		if l.waiting() == 0 {
			l.loading = true
			return job{lane: l, read: true, after: l.cursor}, true
		}
		e := l.pop()
		_, taken := s.claimed[e.DeliveryKey]
		if !taken {
			h.senders.try(l.Sender, s.now())
		}
		s.evaluate(l)
		if taken {
			e.fresh.drop() // its holder puts it back as it then is
			continue
		}
		s.claimed[e.DeliveryKey] = nil
		j := job{lane: l, entry: e, turn: s.turnOf(l)}
		h.running++
		s.begin(l.Identity, j.turn)
		return j, true
	}
}

// staff starts a worker if there is work for one more.
func (s *scheduler) staff() {
	if s.halted == 0 && s.lined() && s.workers < s.max {
		s.workers++
		s.start()
	}
}

// hop returns the record of d, a new one if there is none.
func (s *scheduler) hop(d Destination) *hop {
	h := s.hops[d]
	if h == nil {
		h = newHop(d, s.bound(d))
		s.hops[d] = h
	}
	return h
}

// insert notes that d is stored as it is. The caller has its claim, or gave it
// up under the same lock.
func (s *scheduler) insert(d *Delivery, f *fresh) {
	if d.State != Active && d.State != Deferred {
		f.drop()
		return
	}
	name := d.Lane()
	h := s.hop(name.Destination)
	l := h.lane(name)
	if h.health.status != Up {
		f.drop()
		f = nil
	}
	l.insert(entry{Place: d.place(), fresh: f}, s.due(d.Due))
	s.evaluate(l)
}

// remove notes that d is no longer stored as it is.
func (s *scheduler) remove(d *Delivery) {
	name := d.Lane()
	if h := s.hops[name.Destination]; h != nil {
		if l := h.lanes[name.key()]; l != nil {
			l.remove(d.place())
		}
	}
}

func (s *scheduler) due(at time.Time) bool { return s.plan().due(at, s.now()) }

// evaluate puts l where it belongs: among the ready, or asleep until it is due.
func (s *scheduler) evaluate(l *lane) {
	if l.queued || l.loading {
		return
	}
	at, ok := l.wants()
	at = later(at, l.hop.senders.aside(l.Sender))
	switch {
	case !ok:
		s.alarms.clear(&l.alarm)
	case s.due(at):
		s.alarms.clear(&l.alarm)
		l.queued = true
		l.hop.ready[l.Class].push(l)
		s.arm(l.hop)
	default:
		s.sleep(&l.alarm, at)
	}
}

// arm puts h into the ring if it may start something.
func (s *scheduler) arm(h *hop) {
	if !h.waits() {
		return
	}
	if !s.open(h) {
		if h.health.next.After(s.now()) {
			s.sleep(&h.alarm, h.health.next)
		}
		return
	}
	s.line(h)
	s.staff()
}

// open reports whether one more attempt may start at h. A clock that was set
// back does not make a pause longer than it was meant.
func (s *scheduler) open(h *hop) bool {
	return h.running < h.health.allowed(h.bound) && s.due(h.health.next)
}

// sleep sets a and tells the keeper if it has to get up earlier.
func (s *scheduler) sleep(a *alarm, at time.Time) {
	if s.alarms.set(a, at) {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// goOff lets the alarms that are due go off and returns when the next one is.
func (s *scheduler) goOff() (next time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.alarms) > 0 {
		a := s.alarms[0]
		if a.at.After(s.now()) {
			return a.at, true
		}
		s.alarms.clear(a)
		switch {
		case a.lane != nil:
			s.evaluate(a.lane)
		case a.hop != nil:
			s.arm(a.hop)
		default:
			s.unparkAll()
		}
	}
	return time.Time{}, false
}

// loaded takes up a page that was read for l.
func (s *scheduler) loaded(l *lane, places []Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.loaded(places, func(k DeliveryKey) bool { _, ok := s.claimed[k]; return ok }, s.due)
	s.evaluate(l)
}

// unreadable notes that a page could not be read; it is tried again at the given
// time.
func (s *scheduler) unreadable(l *lane, again time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.unreadable(again, s.due)
	s.evaluate(l)
}

// halt stops new attempts until resume has been called as often.
func (s *scheduler) halt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halted++
}

func (s *scheduler) resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.halted--
	s.staff()
}
