package spool

import (
	"time"

	"github.com/postrider/postrider/queue"
)

// entry is what a delivery's one place and its counter depend on.
type entry struct {
	destination queue.Destination
	identity    string
	due         int64 // Unix milliseconds
	bytes       int64 // content octets
	recipients  int32 // those that still want something
	state       queue.State
	class       queue.Class
	sender      string
}

func entryOf(d *queue.Delivery) entry {
	e := entry{
		destination: d.Destination, identity: d.Identity, due: d.Due.UnixMilli(),
		bytes: d.Size, state: d.State, class: d.Lane().Class, sender: d.Refused,
	}
	for i := range d.Recipients {
		if !d.Recipients[i].State.Final() {
			e.recipients++
		}
	}
	return e
}

// appendKey appends the key of the place: in the schedule or in the index of
// the state.
func (e *entry) appendKey(b []byte, key queue.DeliveryKey) []byte {
	if e.state > queue.Deferred {
		return appendStateKey(b, e.state, key)
	}
	b = appendLane(b, queue.Lane{Destination: e.destination, Identity: e.identity, Class: e.class, Sender: e.sender})
	return appendPlace(b, time.UnixMilli(e.due), key)
}

func (e *entry) counter() counter { return counter{e.destination, e.state} }

// weight is what n such deliveries add to their counter.
func (e *entry) weight(n int64) counts {
	return counts{deliveries: n, recipients: n * int64(e.recipients), bytes: n * e.bytes}
}
