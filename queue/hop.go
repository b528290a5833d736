package queue

import "time"

// weights are how many deliveries of each class a destination starts in a round
// while all classes wait there: new mail first, yet nothing starves.
var weights = [...]int{ClassNew: 8, ClassBulk: 3, ClassRetry: 2, ClassRefused: 1}

// hop is what memory holds of one destination with a backlog: its lanes, how many
// attempts run there, and how it is doing. The scheduler's mutex guards it.
type hop struct {
	Destination
	lanes   map[laneKey]*lane
	ready   [len(weights)]ring[*lane] // with something to start or to read now
	credit  [len(weights)]int
	running int
	bound   int // of running, by configuration
	health  health
	senders senders
	inRing  [len(turnWeights)]bool // in scheduler.rings
	alarm   alarm
	idle    time.Time // since when it has had nothing; zero if it has
}

// laneKey names a lane within its hop.
type laneKey struct {
	identity string
	class    Class
	sender   string
}

func (l *Lane) key() laneKey { return laneKey{l.Identity, l.Class, l.Sender} }

func newHop(d Destination, bound int) *hop {
	h := &hop{Destination: d, lanes: make(map[laneKey]*lane), credit: weights, bound: bound}
	h.health.limit = firstLimit
	h.alarm.hop = h
	return h
}

// lane returns the lane of that name, a new one if there is none.
func (h *hop) lane(name Lane) *lane {
	l := h.lanes[name.key()]
	if l == nil {
		l = &lane{Lane: name, hop: h}
		l.alarm.lane = l
		h.lanes[name.key()] = l
	}
	return l
}

// waits reports whether any lane has something to do now.
func (h *hop) waits() bool {
	for i := range h.ready {
		if h.ready[i].len() > 0 {
			return true
		}
	}
	return false
}

// lined reports whether h waits in any ring.
func (h *hop) lined() bool { return h.inRing != [len(turnWeights)]bool{} }

// choose takes the lane whose turn it is among the classes that may go: the class
// by weight, within it the identity that has waited longest for its turn.
func (h *hop) choose(may func(Class) bool, suits func(*lane) bool) (*lane, bool) {
	for range 2 {
		for c := range h.ready {
			if h.credit[c] == 0 || !may(Class(c)) {
				continue
			}
			if l, ok := h.first(Class(c), suits); ok {
				h.credit[c]--
				l.queued = false
				return l, true
			}
		}
		h.credit = weights
	}
	return nil, false
}

// first takes the first ready lane of a class that suits; new mail's only.
func (h *hop) first(c Class, suits func(*lane) bool) (*lane, bool) {
	r := &h.ready[c]
	for range r.len() {
		l, _ := r.pop()
		if c != ClassNew || suits(l) {
			return l, true
		}
		r.push(l)
	}
	return nil, false
}

// dropFresh gives up what is held in memory for deliveries to h. They are read
// when their turn comes.
func (h *hop) dropFresh() {
	for _, l := range h.lanes {
		for i := range l.page[l.head:] {
			e := &l.page[l.head+i]
			e.fresh.drop()
			e.fresh = nil
		}
	}
}
