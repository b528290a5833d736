package queue

import (
	"context"
	"errors"
	"slices"

	"github.com/postrider/postrider/internal/mail"
)

// scanBound is how many messages one call looks at. A caller that wants more goes
// on from where it ended, so no call takes long, whatever it selects.
const scanBound = 4096

// found is a delivery that was selected, with its envelope.
type found struct {
	envelope *mail.Envelope
	delivery *Delivery
}

// find returns up to limit deliveries that sel selects, in order of their keys
// after the given one, and the key to go on after; zero at the end. It may find
// fewer, or none, and not be at the end.
func (q *Queue) find(ctx context.Context, sel *Selector, after DeliveryKey, limit int) ([]found, DeliveryKey, error) {
	if len(sel.IDs) > 0 {
		return q.findIDs(ctx, sel, after, limit)
	}
	if st, ok := sel.waitsAside(); ok {
		return q.findAside(ctx, sel, st, after, limit)
	}
	if q.few(sel) {
		return q.findFew(ctx, sel, after, limit)
	}
	return q.findAmongAll(ctx, sel, after, limit)
}

// findAmongAll is find that reads message after message.
func (q *Queue) findAmongAll(ctx context.Context, sel *Selector, after DeliveryKey, limit int) ([]found, DeliveryKey, error) {
	var all []found
	from := after.Message
	for scanned := 0; ; {
		messages, err := q.store.Messages(ctx, from, sweepPage)
		if err != nil {
			return nil, DeliveryKey{}, err
		}
		for _, m := range messages {
			if all = q.findIn(all, sel, m, after); len(all) >= limit {
				all = all[:limit]
				return all, all[limit-1].delivery.DeliveryKey, nil
			}
		}
		if len(messages) < sweepPage {
			return all, DeliveryKey{}, nil
		}
		last := messages[len(messages)-1].ID
		if scanned += len(messages); scanned >= scanBound {
			return all, DeliveryKey{Message: last, Number: lastNumber}, nil
		}
		from = last.Next()
	}
}

// lastNumber is above every delivery's.
const lastNumber = 1<<32 - 1

// findIn appends what sel selects of one message.
func (q *Queue) findIn(all []found, sel *Selector, m Message, after DeliveryKey) []found {
	now := q.clock.now()
	for _, d := range m.Deliveries {
		if compareKeys(d.DeliveryKey, after) > 0 && sel.matches(m.Envelope, d, now) {
			all = append(all, found{m.Envelope, d})
		}
	}
	return all
}

// findIDs is find where the messages are named.
func (q *Queue) findIDs(ctx context.Context, sel *Selector, after DeliveryKey, limit int) ([]found, DeliveryKey, error) {
	ids := slices.Clone(sel.IDs)
	slices.SortFunc(ids, mail.ID.Compare)
	var all []found
	for _, id := range slices.Compact(ids) {
		if id.Compare(after.Message) < 0 {
			continue
		}
		m, err := q.message(ctx, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, DeliveryKey{}, err
		}
		if all = q.findIn(all, sel, m, after); len(all) >= limit {
			all = all[:limit]
			return all, all[limit-1].delivery.DeliveryKey, nil
		}
	}
	return all, DeliveryKey{}, nil
}

// message reads a message. Where that is damaged it is what the operator was given of
// it, if anything.
func (q *Queue) message(ctx context.Context, id mail.ID) (Message, error) {
	e, err := q.store.Envelope(ctx, id)
	var deliveries []*Delivery
	if err == nil {
		deliveries, err = q.store.Deliveries(ctx, id)
	}
	if !errors.Is(err, ErrDamaged) {
		return Message{e, deliveries}, err
	}
	keys, _ := q.store.InState(ctx, Dead, DeliveryKey{}, everything)
	for _, key := range keys {
		if key.Message != id {
			continue
		}
		if d, err := q.store.Delivery(ctx, key); err == nil {
			deliveries = append(deliveries, d)
		}
	}
	if len(deliveries) == 0 {
		return Message{}, err
	}
	return Message{unreadableEnvelope(deliveries...), deliveries}, nil
}

// findAside is find for deliveries that wait outside of the schedule.
func (q *Queue) findAside(ctx context.Context, sel *Selector, s State, after DeliveryKey, limit int) ([]found, DeliveryKey, error) {
	keys, err := q.store.InState(ctx, s, after, limit)
	if err != nil {
		return nil, DeliveryKey{}, err
	}
	var all []found
	for _, key := range keys {
		if all, err = q.findKey(ctx, all, sel, key); err != nil {
			return nil, DeliveryKey{}, err
		}
	}
	if len(keys) < limit {
		return all, DeliveryKey{}, nil
	}
	return all, keys[len(keys)-1], nil
}

// findKey appends the delivery with the given key if sel selects it.
func (q *Queue) findKey(ctx context.Context, all []found, sel *Selector, key DeliveryKey) ([]found, error) {
	d, err := q.store.Delivery(ctx, key)
	switch {
	case errors.Is(err, ErrNotFound) || errors.Is(err, ErrDamaged):
		return all, nil // finished just now, or shown by Verify
	case err != nil:
		return nil, err
	}
	e, err := q.store.Envelope(ctx, key.Message)
	if err != nil {
		e = unreadableEnvelope(d)
	}
	if sel.matches(e, d, q.clock.now()) {
		all = append(all, found{e, d})
	}
	return all, nil
}

// unreadableEnvelope stands for an envelope that is damaged, so that its deliveries
// can be listed and deleted all the same. Its addresses are empty.
func unreadableEnvelope(deliveries ...*Delivery) *mail.Envelope {
	d := deliveries[0]
	e := &mail.Envelope{ID: d.Message, Arrival: d.Arrival, Size: d.Size, Reports: "none"}
	for _, d := range deliveries {
		for _, r := range d.Recipients {
			for len(e.Recipients) <= r.Index {
				e.Recipients = append(e.Recipients, mail.Recipient{})
			}
		}
	}
	return e
}
