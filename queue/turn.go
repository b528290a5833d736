package queue

// turn says in which of the scheduler's rings a destination waits. The rings keep
// one sender of very much from making everybody else wait for a worker: its
// mail goes out in its turn, beside that of others and never before it.
type turn uint8

// Turns. An identity is heavy while it has a quarter of all workers busy; a
// newsletter of many recipients, or of many messages, is heavy or bulk.
const (
	turnLight  turn = iota // new mail of identities that are not heavy
	turnHeavy              // new mail of those that are
	turnLesser             // bulk and retries
)

// turnWeights are how many jobs come from each ring in a round while all have
// some.
var turnWeights = [...]int{turnLight: 8, turnHeavy: 4, turnLesser: 2}

// begin counts an attempt that starts. What an identity has running counts as lesser,
// all of it, once it is heavy: else it could have a quarter of the workers beside the
// three that are not light.
func (s *scheduler) begin(identity string, t turn) {
	s.busy[identity]++
	if t == turnLight {
		s.light[identity]++
	} else {
		s.lesser++
	}
	if s.heavy(identity) {
		s.lesser += s.light[identity]
		delete(s.light, identity)
	}
}

// end takes an attempt out of the count again.
func (s *scheduler) end(identity string, t turn) {
	if s.busy[identity]--; s.busy[identity] == 0 {
		delete(s.busy, identity)
	}
	if t != turnLight || s.light[identity] == 0 {
		s.lesser--
		return
	}
	if s.light[identity]--; s.light[identity] == 0 {
		delete(s.light, identity)
	}
}

// heavy reports whether an identity keeps a quarter of the workers busy.
func (s *scheduler) heavy(identity string) bool {
	return s.busy[identity] >= max(1, s.max/4)
}

// crowded reports whether jobs that are not light, and those of heavy identities, have
// as many workers as they may: three quarters. The rest waits for what comes.
func (s *scheduler) crowded() bool { return s.lesser >= max(1, s.max*3/4) }

// turnOf returns which turn a delivery of l takes.
func (s *scheduler) turnOf(l *lane) turn {
	switch {
	case l.Class != ClassNew:
		return turnLesser
	case s.heavy(l.Identity):
		return turnHeavy
	}
	return turnLight
}

// line puts h into each ring that it has something for.
func (s *scheduler) line(h *hop) {
	var has [len(turnWeights)]bool
	has[turnLesser] = h.ready[ClassBulk].len()+h.ready[ClassRetry].len()+h.ready[ClassRefused].len() > 0
	for l := range h.ready[ClassNew].all() {
		has[s.turnOf(l)] = true
		if has[turnLight] {
			break // enough to know, and there may be many
		}
	}
	for t := range s.rings {
		if has[t] && !h.inRing[t] {
			h.inRing[t] = true
			s.rings[t].push(h)
		}
	}
}

// nextHop takes the destination whose turn it is.
func (s *scheduler) nextHop() (*hop, turn, bool) {
	for range 2 {
		for t := range s.rings {
			if s.credit[t] == 0 || turn(t) != turnLight && s.crowded() {
				continue
			}
			if h, ok := s.rings[t].pop(); ok {
				s.credit[t]--
				h.inRing[t] = false
				return h, turn(t), true
			}
		}
		s.credit = turnWeights
	}
	return nil, 0, false
}

// lined reports whether any destination may have its turn now.
func (s *scheduler) lined() bool {
	return s.rings[turnLight].len() > 0 ||
		!s.crowded() && s.rings[turnHeavy].len()+s.rings[turnLesser].len() > 0
}

// pick takes the lane at h whose turn t is.
func (s *scheduler) pick(h *hop, t turn) (*lane, bool) {
	return h.choose(func(c Class) bool {
		if t == turnLesser {
			return c != ClassNew
		}
		return c == ClassNew || !s.crowded()
	}, func(l *lane) bool {
		return t != turnLight || !s.heavy(l.Identity)
	})
}
