package spool

import (
	"context"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/queue"
)

// Lanes calls fn for each lane with anything in its schedule, with the first
// due time in it. It seeks from lane to lane. A lane that can't be read is left
// out; Verify reports it. fn may call the spool but must not Close it.
func (s *Spool) Lanes(ctx context.Context, fn func(lane queue.Lane, first time.Time) error) error {
	from := []byte{tableSchedule}
	for {
		lanes, next, err := s.someLanes(ctx, from)
		if err != nil {
			return wrap("reading the schedule", err)
		}
		for _, l := range lanes {
			if err := fn(l.lane, l.first); err != nil {
				return err
			}
		}
		if next == nil {
			return nil
		}
		from = next
	}
}

// firstDue is a lane with the first due time in it.
type firstDue struct {
	lane  queue.Lane
	first time.Time
}

// lanesAtOnce is how many lanes are read before fn is called for them: fn must
// not run while an iterator holds old data, or while a generation is in use.
const lanesAtOnce = 256

// someLanes returns the lanes from a key on, and the key to go on from; nil at
// the end.
func (s *Spool) someLanes(ctx context.Context, from []byte) (lanes []firstDue, next []byte, err error) {
	g, err := s.use()
	if err != nil {
		return nil, nil, err
	}
	defer s.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	lanes, next, err = readLanes(g.db, from)
	return lanes, next, s.noteRot(g, err)
}

func readLanes(r pebble.Reader, from []byte) (lanes []firstDue, next []byte, err error) {
	it, err := r.NewIter(&pebble.IterOptions{UpperBound: []byte{tableSchedule + 1}})
	if err != nil {
		return nil, nil, err
	}
	for ok := it.SeekGE(from); ok; {
		if len(lanes) == lanesAtOnce {
			next = append([]byte(nil), it.Key()...)
			break
		}
		lane, place, prefix, err := parseScheduleKey(it.Key())
		if err != nil {
			ok = it.Next()
			continue
		}
		lanes = append(lanes, firstDue{lane, place.Due})
		ok = it.SeekGE(upperBound(it.Key()[:prefix]))
	}
	return lanes, next, errors.Join(it.Error(), it.Close())
}

// Due returns places in lane in order: those after "after", with a due time up
// to until, at most limit of them. It seeks to its beginning, so that what was
// finished before it is not passed again.
func (s *Spool) Due(ctx context.Context, lane queue.Lane, after queue.Place, until time.Time, limit int) ([]queue.Place, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	g, err := s.use()
	if err != nil {
		return nil, err
	}
	defer s.mu.RUnlock()
	prefix := appendLane(nil, lane)
	from := prefix
	if after != (queue.Place{}) {
		// The key after a key is the same with a zero behind it.
		from = append(appendPlace(append([]byte(nil), prefix...), after.Due, after.DeliveryKey), 0)
	}
	// Up to and with the last key of that millisecond.
	to := upperBound(appendDue(append([]byte(nil), prefix...), until))
	var places []queue.Place
	if string(from) >= string(to) {
		return nil, nil
	}
	err = scanRange(g.db, from, to, func(key, _ []byte) error {
		p, err := parsePlace(key[len(prefix):])
		if err != nil {
			return nil // Verify reports it
		}
		places = append(places, p)
		if len(places) == limit {
			return errStop
		}
		return ctx.Err()
	})
	return places, wrap("reading the schedule", s.noteRot(g, err))
}

// InState returns keys of deliveries that are Held, Captured or Dead, after the
// given key, at most limit of them.
func (s *Spool) InState(ctx context.Context, state queue.State, after queue.DeliveryKey, limit int) ([]queue.DeliveryKey, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	g, err := s.use()
	if err != nil {
		return nil, err
	}
	defer s.mu.RUnlock()
	from := []byte{tableState, byte(state)}
	if after != (queue.DeliveryKey{}) {
		from = append(appendStateKey(nil, state, after), 0)
	}
	var keys []queue.DeliveryKey
	err = scanRange(g.db, from, []byte{tableState, byte(state) + 1}, func(key, _ []byte) error {
		k, err := parseDeliveryTail(key[2:])
		if err != nil {
			return nil // Verify reports it
		}
		keys = append(keys, k)
		if len(keys) == limit {
			return errStop
		}
		return ctx.Err()
	})
	return keys, wrap("reading deliveries that are "+state.String(), s.noteRot(g, err))
}
