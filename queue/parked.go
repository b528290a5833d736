package queue

import "time"

const (
	// unreadPause is how long something is left alone that the store could not read.
	unreadPause = 15 * time.Second
	// maxParked bounds memory. Beyond it a lane rests whose deliveries can't be read.
	maxParked = 4096
)

// maxParkedFor is how long others that join them may keep the parked waiting.
const maxParkedFor = 4 * unreadPause

// parked is a delivery that the store could not read just now. It keeps its claim, so
// that nothing behind it in its lane waits for it. All that are parked come back
// together when no more has joined them for unreadPause, or after maxParkedFor: however many there are, and
// however long the disk takes to refuse each of them, the rest has its turn first.
type parked struct {
	lane  Lane
	place Place
}

// postpone leaves the delivery of j alone for a while. It does not if operators want
// something done with it. Who wants something later takes the claim over.
func (s *scheduler) postpone(j job) (wished bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, again := j.entry.DeliveryKey, s.now().Add(unreadPause)
	if len(s.claimed[key]) > 0 {
		return true
	}
	if len(s.parked) < maxParked {
		if len(s.parked) == 0 {
			s.parkedSince = s.now()
		}
		s.parked[key] = parked{j.lane.Lane, j.entry.Place}
		if last := s.parkedSince.Add(maxParkedFor); again.After(last) {
			again = last
		}
		s.sleep(&s.unpark, again)
		return false
	}
	delete(s.claimed, key)
	l := s.hop(j.lane.Destination).lane(j.lane.Lane)
	l.rewind(j.entry.Place, again)
	l.next = again // whatever else is due
	s.evaluate(l)
	return false
}

// unparkAll returns all that are parked to their lanes.
func (s *scheduler) unparkAll() {
	s.alarms.clear(&s.unpark)
	for key, p := range s.parked {
		delete(s.claimed, key)
		l := s.hop(p.lane.Destination).lane(p.lane)
		l.insert(entry{Place: p.place}, s.due(p.place.Due))
		s.evaluate(l)
	}
	clear(s.parked)
}
