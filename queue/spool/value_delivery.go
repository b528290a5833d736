package spool

import (
	"encoding/binary"
	"math"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// Flags of a delivery and of a recipient's state.
const (
	flagBulk = 1 << iota
	flagWarned
	flagRefused
)

const (
	flagReply = 1 << iota
	flagHost
	flagReason
	flagAt
)

// appendDelivery appends a delivery record (table 03, and in message records),
// all of v but its key:
//
//	01                      version of this record
//	octet octet             State; flags: 1 Bulk, 2 Warned, 4 Refused follows
//	string string           Owner, Identity
//	string string           route and domain of the destination
//	time time               Due, Arrival
//	uvarint uvarint         Attempts, Size
//	string                  InDoubt
//	string                  4: Refused
//	uvarint                 number of recipients; for each:
//	  varint                Index, less that of the one before it plus 1
//	  octet octet           State; flags of what follows
//	  reply                 1: uvarint code, 3 uvarints enhanced code, string text
//	  string string time    2: Host; 4: Reason; 8: At
func appendDelivery(b []byte, v *queue.Delivery) []byte {
	var flags byte
	if v.Bulk {
		flags |= flagBulk
	}
	if v.Warned {
		flags |= flagWarned
	}
	if v.Refused != "" {
		flags |= flagRefused
	}
	b = append(b, recordVersion, byte(v.State), flags)
	b = appendString(b, v.Owner)
	b = appendString(b, v.Identity)
	b = appendString(b, v.Destination.Route)
	b = appendString(b, v.Destination.Domain.String())
	b = appendTime(b, v.Due)
	b = appendTime(b, v.Arrival)
	b = binary.AppendUvarint(b, uint64(v.Attempts))
	b = binary.AppendUvarint(b, uint64(v.Size))
	b = appendString(b, v.InDoubt)
	if flags&flagRefused != 0 {
		b = appendString(b, v.Refused)
	}
	b = binary.AppendUvarint(b, uint64(len(v.Recipients)))
	next := 0
	for i := range v.Recipients {
		b = appendRecipient(b, &v.Recipients[i], next)
		next = v.Recipients[i].Index + 1
	}
	return b
}

func appendRecipient(b []byte, r *queue.RecipientState, expected int) []byte {
	b = binary.AppendVarint(b, int64(r.Index-expected))
	var flags byte
	if r.Reply != (mail.Reply{}) {
		flags |= flagReply
	}
	if r.Host != "" {
		flags |= flagHost
	}
	if r.Reason != "" {
		flags |= flagReason
	}
	if !r.At.IsZero() {
		flags |= flagAt
	}
	b = append(b, byte(r.State), flags)
	if flags&flagReply != 0 {
		b = binary.AppendUvarint(b, uint64(r.Reply.Code))
		for _, n := range r.Reply.Enhanced {
			b = binary.AppendUvarint(b, uint64(n))
		}
		b = appendString(b, r.Reply.Text)
	}
	if flags&flagHost != 0 {
		b = appendString(b, r.Host)
	}
	if flags&flagReason != 0 {
		b = appendString(b, r.Reason)
	}
	if flags&flagAt != 0 {
		b = appendTime(b, r.At)
	}
	return b
}

func decodeDelivery(b []byte, key queue.DeliveryKey) (*queue.Delivery, error) {
	d := decoder{b: b}
	if d.octet() != recordVersion {
		return nil, errValue
	}
	v := &queue.Delivery{DeliveryKey: key, State: queue.State(d.octet())}
	flags := d.octet()
	v.Bulk = flags&flagBulk != 0
	v.Warned = flags&flagWarned != 0
	v.Owner = d.string()
	v.Identity = d.string()
	v.Destination = queue.Destination{Route: d.string(), Domain: d.domain()}
	v.Due = d.time()
	v.Arrival = d.time()
	v.Attempts = d.number(math.MaxInt32)
	v.Size = int64(d.number(math.MaxInt64))
	v.InDoubt = d.string()
	if flags&flagRefused != 0 {
		v.Refused = d.string()
	}
	v.Recipients = make([]queue.RecipientState, d.count())
	next := 0
	for i := range v.Recipients {
		v.Recipients[i] = d.recipient(next)
		next = v.Recipients[i].Index + 1
	}
	if v.State > queue.Dead {
		d.fail() // a finished delivery has no record
	}
	return v, d.end()
}

func (d *decoder) recipient(expected int) queue.RecipientState {
	step := d.varint()
	if step < -math.MaxInt32 || step > math.MaxInt32 {
		d.fail()
		return queue.RecipientState{}
	}
	r := queue.RecipientState{Index: expected + int(step), State: queue.State(d.octet())}
	flags := d.octet()
	if flags&flagReply != 0 {
		r.Reply.Code = d.number(math.MaxInt32)
		for i := range r.Reply.Enhanced {
			r.Reply.Enhanced[i] = d.number(math.MaxInt32)
		}
		r.Reply.Text = d.string()
	}
	if flags&flagHost != 0 {
		r.Host = d.string()
	}
	if flags&flagReason != 0 {
		r.Reason = d.string()
	}
	if flags&flagAt != 0 {
		r.At = d.time()
	}
	if r.Index < 0 || r.Index > math.MaxInt32 || r.State > queue.Expired {
		d.fail()
		return queue.RecipientState{}
	}
	return r
}
