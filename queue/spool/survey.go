package spool

import (
	"bytes"
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// Survey calls fn for each unfinished delivery, in order of destinations and then
// of states. It reads keys only, since a lane tells where its deliveries go and how
// they stand. For those in the index of states it has to read where they go. fn must
// not call the spool.
func (s *Spool) Survey(ctx context.Context, fn func(to queue.Destination, state queue.State, id mail.ID)) error {
	g, err := s.use()
	if err != nil {
		return err
	}
	defer s.mu.RUnlock()
	snapshot := g.db.NewSnapshot()
	defer snapshot.Close()
	err = surveySchedule(s.going(ctx, g), snapshot, fn)
	if err == nil {
		err = surveyStates(s.going(ctx, g), snapshot, fn)
	}
	return wrap("counting what waits", s.noteRot(g, err))
}

// surveySchedule parses a lane once, not at each of its keys.
func surveySchedule(going func() error, r pebble.Reader, fn func(queue.Destination, queue.State, mail.ID)) error {
	var prefix []byte // of the lane's keys
	var to queue.Destination
	var state queue.State
	return scan(r, []byte{tableSchedule}, func(key, _ []byte) error {
		if len(prefix) == 0 || len(key) != len(prefix)+placeLen || !bytes.HasPrefix(key, prefix) {
			l, _, n, err := parseScheduleKey(key)
			if err != nil {
				return going() // Verify reports it
			}
			prefix, to, state = append(prefix[:0], key[:n]...), l.Destination, l.State()
		}
		if k, err := tailOf(key); err == nil {
			fn(to, state, k.Message)
		}
		return going()
	})
}

func surveyStates(going func() error, r pebble.Reader, fn func(queue.Destination, queue.State, mail.ID)) error {
	for _, state := range []queue.State{queue.Held, queue.Captured, queue.Dead} {
		d, err := newInOrder(r)
		if err != nil {
			return err
		}
		err = scan(r, []byte{tableState, byte(state)}, func(key, _ []byte) error {
			k, err := tailOf(key)
			if err != nil {
				return going()
			}
			one, err := d.delivery(k)
			if pebble.IsCorruptionError(err) {
				return err
			}
			if err == nil {
				fn(one.Destination, state, k.Message)
			}
			return going()
		})
		if err = errors.Join(err, d.close()); err != nil {
			return err
		}
	}
	return nil
}
