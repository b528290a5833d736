package queue

import (
	"context"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// Entry is a delivery as "queue list" shows it: a line for each destination that a
// message still goes to.
type Entry struct {
	ID          mail.ID          `json:"id"`
	Number      uint32           `json:"delivery"`
	State       State            `json:"state"`
	From        string           `json:"from"`
	To          []EntryRecipient `json:"to"`
	Size        int64            `json:"size"`
	Arrival     time.Time        `json:"arrival"`
	Due         *time.Time       `json:"due,omitempty"` // of the next attempt, if one is planned
	Attempts    int              `json:"attempts"`
	Route       string           `json:"route"`
	Destination string           `json:"destination"`
	Identity    string           `json:"identity,omitempty"`
	MessageID   string           `json:"message_id,omitempty"`
	// Attempting says that an attempt runs now.
	Attempting bool `json:"attempting,omitempty"`
	Bulk       bool `json:"bulk,omitempty"`
	// InDoubt is the host that took the content and never answered.
	InDoubt string `json:"in_doubt,omitempty"`
}

// EntryRecipient is a recipient as "queue list" shows it.
type EntryRecipient struct {
	Address string     `json:"address"`
	State   State      `json:"state"`
	Reason  string     `json:"reason,omitempty"` // the last reply, or what went wrong
	Host    string     `json:"host,omitempty"`
	At      *time.Time `json:"at,omitempty"` // of the last change
}

// List returns up to limit deliveries that sel selects, the oldest first, after
// the given key (zero for the beginning), and the key to go on after, zero at the
// end. One call looks at a bounded number of messages: it may return fewer, even
// none, with more to come.
func (q *Queue) List(ctx context.Context, sel Selector, after DeliveryKey, limit int) ([]Entry, DeliveryKey, error) {
	all, next, err := q.find(ctx, &sel, after, max(limit, 1))
	if err != nil {
		return nil, DeliveryKey{}, err
	}
	entries := make([]Entry, len(all))
	for i, f := range all {
		entries[i] = q.entry(f)
	}
	return entries, next, nil
}

// Show returns the envelope of a message and what is still to be done about it.
// Its errors wrap ErrNotFound and ErrDamaged.
func (q *Queue) Show(ctx context.Context, id mail.ID) (*mail.Envelope, []Entry, error) {
	m, err := q.message(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	entries := make([]Entry, len(m.Deliveries))
	for i, d := range m.Deliveries {
		entries[i] = q.entry(found{m.Envelope, d})
	}
	return m.Envelope, entries, nil
}

// Content opens the content of a message as it is relayed.
func (q *Queue) Content(ctx context.Context, id mail.ID) (Content, error) {
	return q.store.Content(ctx, id)
}

func (q *Queue) entry(f found) Entry {
	e, d := f.envelope, f.delivery
	n := Entry{
		ID: d.Message, Number: d.Number, State: d.State, From: e.From.String(),
		Size: d.Size, Arrival: d.Arrival, Attempts: d.Attempts,
		Route: d.Destination.Route, Destination: d.Destination.String(),
		Identity: d.Identity, MessageID: e.MessageID, Bulk: d.Bulk, InDoubt: d.InDoubt,
		To: make([]EntryRecipient, len(d.Recipients)),
	}
	for i := range d.Recipients {
		r := &d.Recipients[i]
		n.To[i] = EntryRecipient{Address: e.Recipients[r.Index].Address.String(), State: r.shown(d), Reason: r.why(), Host: r.Host}
		if !r.At.IsZero() {
			n.To[i].At = &r.At
		}
	}
	if d.scheduled() {
		due, attempting := q.sched.outlook(d)
		n.Due, n.Attempting = &due, attempting
	}
	return n
}

// shown is r's state in the words of a list: one that waits waits as d does.
func (r *RecipientState) shown(d *Delivery) State {
	if r.State.Final() || r.State == Dead || d.scheduled() {
		return r.State
	}
	return d.State
}

// why says in one line what is behind r's state.
func (r *RecipientState) why() string {
	switch {
	case r.Reply.Code != 0 && r.Reason != "":
		return r.Reply.String() + " (" + r.Reason + ")"
	case r.Reply.Code != 0:
		return r.Reply.String()
	}
	return r.Reason
}
