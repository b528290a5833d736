package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// get returns a copy of the value of key, or ErrNotFound. Where the value can't
// be read, Pebble v2.1.7's Get returns none and no error (db.go getInternal): only
// the closer tells.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	value, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, queue.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	value = bytes.Clone(value)
	return value, closer.Close()
}

// scan calls fn for each key that begins with prefix. What fn is given is
// valid until it returns. errStop ends the scan without an error.
func scan(r pebble.Reader, prefix []byte, fn func(key, value []byte) error) error {
	return scanRange(r, prefix, upperBound(prefix), fn)
}

var errStop = errors.New("enough")

func scanRange(r pebble.Reader, from, to []byte, fn func(key, value []byte) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var value []byte
		if value, err = it.ValueAndErr(); err == nil {
			err = fn(it.Key(), value)
		}
	}
	if errors.Is(err, errStop) {
		err = nil
	}
	return errors.Join(err, it.Error(), it.Close())
}

func readMessage(r pebble.Reader, id mail.ID) (messageRecord, error) {
	value, err := get(r, appendIDKey(nil, tableMessage, id))
	if err != nil {
		return messageRecord{}, err
	}
	m, err := decodeMessage(value)
	return m, unreadable("message record", err)
}

// unreadable marks the error of a decoder as damage.
func unreadable(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%w: %s: %w", queue.ErrDamaged, what, err)
	}
	return nil
}

// readDelivery returns a delivery's record, or the one that its message implies.
func readDelivery(r pebble.Reader, key queue.DeliveryKey) (*queue.Delivery, error) {
	value, err := get(r, appendDeliveryKey(nil, key))
	if errors.Is(err, queue.ErrNotFound) {
		var m messageRecord
		if m, err = readMessage(r, key.Message); err == nil && (m.deliveries != 1 || m.number != key.Number) {
			err = queue.ErrNotFound
		}
		value = m.delivery
	}
	if err != nil {
		return nil, err
	}
	d, err := decodeDelivery(value, key)
	return d, unreadable("delivery record", err)
}

// readDeliveries returns all unfinished deliveries of a message.
func readDeliveries(r pebble.Reader, id mail.ID) ([]*queue.Delivery, error) {
	m, err := readMessage(r, id)
	if err != nil {
		return nil, err
	}
	if m.deliveries == 1 {
		d, err := readDelivery(r, queue.DeliveryKey{Message: id, Number: m.number})
		if err != nil {
			return nil, err
		}
		return []*queue.Delivery{d}, nil
	}
	var ds []*queue.Delivery
	err = scan(r, appendIDKey(nil, tableDelivery, id), func(key, value []byte) error {
		k, err := parseDeliveryTail(key[1:])
		if err != nil {
			return unreadable("delivery key", err)
		}
		d, err := decodeDelivery(value, k)
		ds = append(ds, d)
		return unreadable("delivery record", err)
	})
	return ds, err
}

// readLive reads what the cache would know about a message.
func readLive(r pebble.Reader, id mail.ID) (live, error) {
	m, err := readMessage(r, id)
	if err != nil {
		return live{}, err
	}
	if m.deliveries > 1 {
		l := live{size: m.size}
		err := scan(r, appendIDKey(nil, tableDelivery, id), func(_, _ []byte) error {
			l.remaining++
			return nil
		})
		return l, err
	}
	l := live{size: m.size, remaining: 1, single: true, number: m.number}
	key := queue.DeliveryKey{Message: id, Number: m.number}
	record, err := get(r, appendDeliveryKey(nil, key))
	switch {
	case err == nil:
		l.touched = true
	case errors.Is(err, queue.ErrNotFound):
		record = m.delivery
	default:
		return live{}, err
	}
	d, err := decodeDelivery(record, key)
	if err != nil {
		return live{}, unreadable("delivery record", err)
	}
	l.first = entryOf(d)
	return l, nil
}

// Envelope returns the envelope of a message. The error tells of one that was moved
// aside, which is not in the queue.
func (s *Spool) Envelope(_ context.Context, id mail.ID) (*mail.Envelope, error) {
	g, err := s.use()
	if err != nil {
		return nil, err
	}
	defer s.mu.RUnlock()
	m, err := readMessage(g.db, id)
	if err == nil {
		var e *mail.Envelope
		if e, err = decodeEnvelope(m.envelope, id); err == nil {
			return e, nil
		}
		err = unreadable("envelope", err)
	}
	if errors.Is(err, queue.ErrNotFound) && s.isAside(g, id) {
		err = fmt.Errorf("%w: it can't be read, and was moved aside: %s", err, remedyAside)
	}
	return nil, s.setAside(g, id, wrap("reading message "+id.String(), err))
}

// Deliveries returns the unfinished deliveries of a message in order of their
// numbers.
func (s *Spool) Deliveries(_ context.Context, id mail.ID) ([]*queue.Delivery, error) {
	g, err := s.use()
	if err != nil {
		return nil, err
	}
	defer s.mu.RUnlock()
	ds, err := readDeliveries(g.db, id)
	if err != nil {
		return nil, s.setAside(g, id, wrap("reading message "+id.String(), err))
	}
	return ds, nil
}

// Delivery returns one unfinished delivery.
func (s *Spool) Delivery(_ context.Context, key queue.DeliveryKey) (*queue.Delivery, error) {
	g, err := s.use()
	if err != nil {
		return nil, err
	}
	defer s.mu.RUnlock()
	d, err := readDelivery(g.db, key)
	if err != nil {
		return nil, s.setAside(g, key.Message, wrap(fmt.Sprintf("reading delivery %s/%d", key.Message, key.Number), err))
	}
	return d, nil
}

// Messages returns messages in order of arrival, from the first ID that is not
// smaller than from. Those that can't be read are left out; Verify reports them.
func (s *Spool) Messages(ctx context.Context, from mail.ID, limit int) ([]queue.Message, error) {
	if limit <= 0 {
		return nil, nil
	}
	g, err := s.use()
	if err != nil {
		return nil, err
	}
	defer s.mu.RUnlock()
	// A message and its deliveries are read as they were at one moment.
	snapshot := g.db.NewSnapshot()
	defer snapshot.Close()
	o, err := newInOrder(snapshot)
	if err != nil {
		return nil, wrap("listing messages", err)
	}
	var out []queue.Message
	err = scanRange(snapshot, appendIDKey(nil, tableMessage, from), []byte{tableMessage + 1}, func(key, value []byte) error {
		id, err := parseIDKey(key, tableMessage)
		if err != nil {
			return nil
		}
		m, err := o.message(id, value)
		if pebble.IsCorruptionError(err) {
			return err
		}
		if err == nil {
			out = append(out, m)
		}
		if len(out) == limit {
			return errStop
		}
		return ctx.Err()
	})
	return out, wrap("listing messages", s.noteRot(g, errors.Join(err, o.close())))
}
