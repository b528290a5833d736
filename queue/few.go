package queue

import (
	"context"
	"math"
	"slices"
	"time"
)

// few reports whether sel, by where deliveries go and how they stand, selects so
// few that they are better found through the schedule than among all messages.
func (q *Queue) few(sel *Selector) bool {
	if sel.Route == "" && sel.ToDomain.IsZero() && len(sel.States) == 0 {
		return false
	}
	var n int64
	for to, by := range q.store.Totals().By {
		for st, total := range by {
			// The index of what waits outside of the schedule knows no destinations.
			if sel.matchesState(st) && (st > Deferred || sel.mayMatch(to)) {
				n += total.Deliveries
			}
		}
	}
	return n <= scanBound
}

// findFew is find for selections that are few.
func (q *Queue) findFew(ctx context.Context, sel *Selector, after DeliveryKey, limit int) ([]found, DeliveryKey, error) {
	keys, err := q.fewKeys(ctx, sel)
	if err != nil {
		return nil, DeliveryKey{}, err
	}
	slices.SortFunc(keys, compareKeys)
	keys = slices.Compact(keys) // one may have moved while they were read
	var all []found
	for _, key := range keys {
		if compareKeys(key, after) <= 0 {
			continue
		}
		if all, err = q.findKey(ctx, all, sel, key); err != nil {
			return nil, DeliveryKey{}, err
		}
		if len(all) == limit {
			return all, key, nil
		}
		if err := ctx.Err(); err != nil {
			return nil, DeliveryKey{}, err
		}
	}
	return all, DeliveryKey{}, nil
}

// everything is a limit for what is known to be few.
const everything = math.MaxInt32

// fewKeys returns the keys of all deliveries that sel may select, and perhaps of
// others.
func (q *Queue) fewKeys(ctx context.Context, sel *Selector) (keys []DeliveryKey, err error) {
	for _, st := range []State{Held, Captured, Dead} {
		if !sel.matchesState(st) {
			continue
		}
		some, err := q.store.InState(ctx, st, DeliveryKey{}, everything)
		if err != nil {
			return nil, err
		}
		keys = append(keys, some...)
	}
	var lanes []Lane
	err = q.store.Lanes(ctx, func(l Lane, _ time.Time) error {
		if sel.matchesState(l.State()) && sel.mayMatch(l.Destination) {
			lanes = append(lanes, l)
		}
		return nil
	})
	for _, l := range lanes {
		var places []Place
		if places, err = q.store.Due(ctx, l, Place{}, q.clock.now().Add(forever), everything); err != nil {
			break
		}
		for _, p := range places {
			keys = append(keys, p.DeliveryKey)
		}
	}
	return keys, err
}

// State returns what all deliveries in a lane are: Active in the classes of those
// that were not attempted yet, Deferred in all others.
func (l Lane) State() State {
	if l.Class == ClassNew || l.Class == ClassBulk {
		return Active
	}
	return Deferred
}
