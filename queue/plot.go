package queue

import (
	"github.com/postrider/postrider/internal/mail"
)

// Disposition is what becomes of a message after it was accepted.
type Disposition uint8

// Dispositions. Hold and Capture keep it for an operator; rules set by
// operators may hold what is to be delivered.
const (
	Deliver Disposition = iota
	Hold
	Capture
)

// plot divides the recipients of e into deliveries: by destination, in the order
// of their first recipient, and no more than so many in one.
func (q *Queue) plot(e *mail.Envelope, disposition Disposition) []*Delivery {
	type group struct {
		Destination
		held bool
	}
	most := int(q.most.Load())
	last := make(map[group]*Delivery, 1)
	var all []*Delivery
	for i := range e.Recipients {
		g := group{Destination: q.destination(e, i)}
		g.held = disposition == Hold || disposition == Deliver && q.holds(e, i, g.Destination)
		d := last[g]
		if d == nil || len(d.Recipients) == most {
			d = q.newDelivery(e, uint32(len(all)), g.Destination)
			switch {
			case disposition == Capture:
				d.State = Captured
			case g.held:
				d.State = Held
			}
			all, last[g] = append(all, d), d
		}
		d.Recipients = append(d.Recipients, RecipientState{Index: i, At: e.Arrival})
	}
	return all
}

// destination asks the route table in force for the next hop of a recipient.
func (q *Queue) destination(e *mail.Envelope, index int) Destination {
	return (*q.router.Load()).Destination(e, e.Recipients[index].Address)
}

func (q *Queue) newDelivery(e *mail.Envelope, number uint32, to Destination) *Delivery {
	return &Delivery{
		DeliveryKey: DeliveryKey{Message: e.ID, Number: number},
		Owner:       q.owner,
		Destination: to,
		Identity:    e.Identity.Name,
		Bulk:        q.bulkAbove > 0 && len(e.Recipients) > q.bulkAbove,
		Due:         e.Arrival,
		Arrival:     e.Arrival,
		Size:        e.Size,
	}
}
