package queue

import (
	"context"
	"slices"
	"strings"
	"time"
)

// DestinationStatus is how a destination with a backlog, or with attempts of late,
// is doing.
type DestinationStatus struct {
	Destination string `json:"destination"`
	Route       string `json:"route"`
	Status      Status `json:"status"`
	// Since is since when it has not been up, Probe when it is tried next, Reason
	// what went wrong. They are empty if it is up.
	Since  time.Time `json:"since,omitzero"`
	Probe  time.Time `json:"probe,omitzero"`
	Reason string    `json:"reason,omitempty"`
	Host   string    `json:"host,omitempty"`
	// Refused are senders that the smarthost does not take mail from, while it
	// takes others'.
	Refused []RefusedSender `json:"refused,omitempty"`
	// Running is how many attempts run, Limit how many may.
	Running int `json:"running"`
	Limit   int `json:"limit"`
	// Backlog counts scheduled deliveries, Bytes the octets of their content.
	Backlog int64 `json:"backlog"`
	Bytes   int64 `json:"bytes"`
}

// Destinations returns the status of every destination, in order of their names.
func (q *Queue) Destinations() []DestinationStatus {
	totals := q.store.Totals()
	all := q.sched.statuses()
	for i := range all {
		d := &all[i]
		by := totals.By[d.name]
		d.Backlog = by[Active].Deliveries + by[Deferred].Deliveries
		d.Bytes = by[Active].Bytes + by[Deferred].Bytes
	}
	slices.SortFunc(all, func(a, b namedStatus) int { return strings.Compare(a.Destination, b.Destination) })
	list := make([]DestinationStatus, len(all))
	for i := range all {
		list[i] = all[i].DestinationStatus
	}
	return list
}

type namedStatus struct {
	DestinationStatus
	name Destination
}

func (s *scheduler) statuses() []namedStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]namedStatus, 0, len(s.hops))
	for name, h := range s.hops {
		all = append(all, namedStatus{name: name, DestinationStatus: DestinationStatus{
			Destination: name.String(), Route: name.Route, Status: h.health.status,
			Since: h.health.since, Probe: h.health.next, Reason: h.health.trouble.String(),
			Host: h.health.trouble.host, Refused: h.senders.list(), Running: h.running, Limit: h.health.allowed(h.bound),
		}})
	}
	return all
}

// outlook returns when d is tried next, as far as that is known, and whether an
// attempt runs.
func (s *scheduler) outlook(d *Delivery) (due time.Time, attempting bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, claimed := s.claimed[d.DeliveryKey]
	_, parked := s.parked[d.DeliveryKey]
	attempting = claimed && !parked
	due = d.Due
	if h := s.hops[d.Destination]; h != nil {
		due = later(later(due, h.health.next), h.senders.aside(d.Refused))
	}
	return due, attempting
}

// probeSelected ends the pauses of the destinations a Selector names as a whole.
func (s *scheduler) probeSelected(sel *Selector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, h := range s.hops {
		if sel.All || sel.Route != "" && (sel.Route == name.Route || sel.Route == name.String()) {
			s.probeHop(h)
		}
	}
}

// Verify reads everything that is stored and reports each fault it finds. progress
// is told the octets of content read and those there are; it may be nil.
func (q *Queue) Verify(ctx context.Context, report func(Damage), progress func(done, total int64)) error {
	return q.store.Verify(ctx, report, progress)
}

// Damaged returns what was found unreadable and moved aside since the store was
// opened.
func (q *Queue) Damaged() []Damage { return q.store.Damaged() }

// attempts returns how many run.
func (s *scheduler) attempts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, running := range s.busy {
		n += running
	}
	return n
}
