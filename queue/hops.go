package queue

import "time"

// observed is what an attempt has changed about a destination.
type observed struct {
	status Status
	next   time.Time // when it is tried again, if it is not Up
	news   bool      // status is another than before
	sole   bool      // see health
	// refused and taken say that the sender is, and was not before; aside is
	// until when its mail stands aside.
	refused, taken bool
	aside          time.Time
}

// observe takes note of how an attempt at h went, with mail from sender, that
// began at the given time.
func (s *scheduler) observe(h *hop, t trouble, sender string, took bool, began time.Time) (o observed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if took && sender != nullSender {
		o.taken = h.senders.take(sender)
	}
	bySender := t.fault == SenderRefused
	if bySender {
		var nobody bool
		o.refused, nobody = h.senders.refuse(sender, t, s.now(), s.plan())
		o.aside = h.senders.aside(sender)
		t.fault = NoFault // the smarthost works, for others
		if nobody {
			t.fault = RouteFault
		}
	}
	if t.fault == NoFault {
		o.news = h.health.works(took, h.bound)
	} else {
		o.news = h.health.suffers(t, began, s.now(), s.plan())
		h.dropFresh() // others have more use for the memory
		if bySender && len(h.senders.refused) < severalSenders {
			h.health.next = s.now() // another sender's mail may be taken
		}
	}
	if bySender || o.taken {
		s.wakeRefused(h)
	}
	s.arm(h)
	o.status, o.next, o.sole = h.health.status, h.health.next, h.health.sole
	return o
}

// wakeRefused looks anew at when mail of refused senders at h may be tried.
func (s *scheduler) wakeRefused(h *hop) {
	for key, l := range h.lanes {
		if key.class == ClassRefused {
			s.evaluate(l)
		}
	}
}

// nullSender is the reverse-path of reports, which smarthosts take from everyone:
// it says nothing about whom they know.
const nullSender = "<>"

// refusal returns why mail from sender stands aside at h, nil if it doesn't. Who
// is told so is taken to try.
func (s *scheduler) refusal(h *hop, sender string) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if !s.due(h.senders.aside(sender)) {
		why := *h.senders.refused[sender]
		return &why
	}
	h.senders.try(sender, now)
	return nil
}

// pause starts nothing at h before the given time, or before the longest time that
// anything waits, which is when an alarm beyond it would go off at once.
func (s *scheduler) pause(h *hop, until time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if longest := s.now().Add(s.plan().horizon()); until.After(longest) {
		until = longest
	}
	h.health.next = later(h.health.next, until)
	s.arm(h)
}

// leave ends an attempt.
func (s *scheduler) leave(j job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := j.lane.hop
	h.running--
	s.end(j.lane.Identity, j.turn)
	s.arm(h)
	s.staff()
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

// suspended reports whether d waits for its route to be mended.
func (s *scheduler) suspended(d Destination) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hops[d]
	return h != nil && h.health.status == Suspended
}

// down returns the destinations that are Down, or that have asked for less for as long
// as mail lives, and were found so after the given time: so little is tried there that
// its mail would grow old unnoticed. Where one delivery alone says so the others are
// tried.
func (s *scheduler) down(after time.Time) map[Destination]trouble {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[Destination]trouble)
	for name, h := range s.hops {
		stuck := h.health.status == Down && !h.health.sole ||
			h.health.status == Throttling && s.now().Sub(h.health.since) >= s.plan().Lifetime
		if stuck && !h.health.last.Before(after) {
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
		s.probeHop(h)
	}
}

// reconsider ends the pauses that a new configuration may have made needless: what was
// wrong with suspended destinations may have been mended, and those that work only
// wait for a rate, which may be another now.
func (s *scheduler) reconsider() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hops {
		switch h.health.status {
		case Suspended:
			s.probeHop(h)
		case Up:
			h.health.next = s.now()
			s.arm(h)
		}
	}
}

func (s *scheduler) probeHop(h *hop) {
	h.health.next = s.now()
	h.senders.again(h.health.next)
	s.wakeRefused(h)
	s.arm(h)
}
