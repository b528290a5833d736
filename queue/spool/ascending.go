package spool

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// ascending looks up keys of one table, each greater than the one before. Where
// most of them are there it costs a fraction of what Get does, since it moves from
// block to block and reads none twice.
type ascending struct {
	it *pebble.Iterator
}

func newAscending(r pebble.Reader, table byte) (*ascending, error) {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{table}, UpperBound: []byte{table + 1}})
	return &ascending{it}, err
}

// seek moves to the first key that is not smaller than key.
func (a *ascending) seek(key []byte) bool {
	if a.it.Valid() && bytes.Compare(a.it.Key(), key) >= 0 {
		return true
	}
	return a.it.SeekGE(key)
}

// has returns nil if key is there. It reads no value.
func (a *ascending) has(key []byte) error {
	if a.seek(key) && bytes.Equal(a.it.Key(), key) {
		return nil
	}
	if err := a.it.Error(); err != nil {
		return err
	}
	return queue.ErrNotFound
}

// get returns the value of key, valid until the next call.
func (a *ascending) get(key []byte) ([]byte, error) {
	if err := a.has(key); err != nil {
		return nil, err
	}
	return a.it.ValueAndErr()
}

func (a *ascending) close() error { return a.it.Close() }

// inOrder reads messages and deliveries in ascending order of their keys.
type inOrder struct {
	messages, deliveries *ascending
	key                  []byte
}

func newInOrder(r pebble.Reader) (*inOrder, error) {
	messages, err := newAscending(r, tableMessage)
	if err != nil {
		return nil, err
	}
	deliveries, err := newAscending(r, tableDelivery)
	if err != nil {
		return nil, errors.Join(err, messages.close())
	}
	return &inOrder{messages: messages, deliveries: deliveries}, nil
}

func (o *inOrder) close() error { return errors.Join(o.messages.close(), o.deliveries.close()) }

// delivery is readDelivery.
func (o *inOrder) delivery(key queue.DeliveryKey) (*queue.Delivery, error) {
	o.key = appendDeliveryKey(o.key[:0], key)
	value, err := o.deliveries.get(o.key)
	if errors.Is(err, queue.ErrNotFound) {
		o.key = appendIDKey(o.key[:0], tableMessage, key.Message)
		if value, err = o.messages.get(o.key); err == nil {
			value, err = impliedRecord(value, key.Number)
		}
	}
	if err != nil {
		return nil, err
	}
	d, err := decodeDelivery(value, key)
	return d, unreadable("delivery record", err)
}

// impliedRecord returns the record of a message's only delivery as it began.
func impliedRecord(message []byte, number uint32) ([]byte, error) {
	m, err := decodeMessage(message)
	switch {
	case err != nil:
		return nil, unreadable("message record", err)
	case m.deliveries != 1 || m.number != number:
		return nil, queue.ErrNotFound
	}
	return m.delivery, nil
}

// of returns the unfinished deliveries of a message, as readDeliveries does.
func (o *inOrder) of(id mail.ID, m *messageRecord) (ds []*queue.Delivery, err error) {
	o.key = appendIDKey(o.key[:0], tableDelivery, id)
	it := o.deliveries.it
	for ok := o.deliveries.seek(o.key); ok && bytes.HasPrefix(it.Key(), o.key); ok = it.Next() {
		k, err := parseDeliveryTail(it.Key()[1:])
		if err != nil {
			return nil, unreadable("delivery key", err)
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		d, err := decodeDelivery(value, k)
		if err != nil {
			return nil, unreadable("delivery record", err)
		}
		ds = append(ds, d)
	}
	if err := it.Error(); err != nil || len(ds) > 0 || m.deliveries != 1 {
		return ds, err
	}
	d, err := decodeDelivery(m.delivery, queue.DeliveryKey{Message: id, Number: m.number})
	if err != nil {
		return nil, unreadable("delivery record", err)
	}
	return []*queue.Delivery{d}, nil
}

// message returns what a message record says, with its deliveries.
func (o *inOrder) message(id mail.ID, record []byte) (out queue.Message, err error) {
	m, err := decodeMessage(record)
	if err != nil {
		return out, err
	}
	if out.Envelope, err = decodeEnvelope(m.envelope, id); err == nil {
		out.Deliveries, err = o.of(id, &m)
	}
	return out, err
}
