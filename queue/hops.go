package queue

import "time"

// observe takes note of how an attempt at h went that began at the given time.
func (s *scheduler) observe(h *hop, t trouble, took bool, began time.Time) (status Status, next time.Time, news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.fault == NoFault {
		news = h.health.works(took, s.bound)
	} else {
		news = h.health.suffers(t, began, s.now(), s.plan())
		h.dropFresh() // others have more use for the memory
	}
	s.arm(h)
	return h.health.status, h.health.next, news
}

// leave ends an attempt.
func (s *scheduler) leave(j job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, identity := j.lane.hop, j.lane.Identity
	h.running--
	if s.busy[identity]--; s.busy[identity] == 0 {
		delete(s.busy, identity)
	}
	if j.turn != turnLight {
		s.lesser--
	}
	s.arm(h)
	s.staff()
}

// postpone gives up j's claim and comes back to it at the given time.
func (s *scheduler) postpone(j job, again time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.claimed, j.entry.DeliveryKey)
	l := j.lane
	l.rewind(j.entry.Place, again)
	s.evaluate(l)
}

// idleAfter is how long a destination's record is kept without a backlog, so that
// what was learned about its concurrency serves the next message too.
const idleAfter = 5 * time.Minute

// forget drops records of lanes and destinations that have had nothing to do.
func (s *scheduler) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for name, h := range s.hops {
		for key, l := range h.lanes {
			if l.empty() {
				s.alarms.clear(&l.alarm)
				delete(h.lanes, key)
			}
		}
		switch {
		case len(h.lanes) > 0 || h.running > 0 || h.lined():
			h.idle = time.Time{}
		case h.idle.IsZero():
			h.idle = now
		case now.Sub(h.idle) >= idleAfter:
			s.alarms.clear(&h.alarm)
			delete(s.hops, name)
		}
	}
}

// dropFresh gives up everything that is held in memory for deliveries to come.
func (s *scheduler) dropFresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hops {
		h.dropFresh()
	}
}

// down returns the destinations that are Down and were found so after the given
// time.
func (s *scheduler) down(after time.Time) map[Destination]trouble {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[Destination]trouble)
	for name, h := range s.hops {
		if h.health.status == Down && !h.health.last.Before(after) {
			all[name] = h.health.trouble
		}
	}
	return all
}

// probe ends the pause of a destination, so that one attempt starts at once.
func (s *scheduler) probe(d Destination) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.hops[d]; h != nil {
		h.health.next = s.now()
		s.arm(h)
	}
}
