package queue

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/postrider/postrider/internal/mail"
)

// rekey goes through all messages and moves deliveries to the destinations that
// the route table in force names for them. What it misses, because an attempt is
// running or the relay stops, is found when it is next attempted.
func (q *Queue) rekey() {
	var from mail.ID
	for table := q.table.Load(); q.table.Load() == table; {
		messages, err := q.store.Messages(q.ctx, from, sweepPage)
		if err != nil || len(messages) == 0 {
			if err != nil && q.ctx.Err() == nil {
				q.log.Error("moving mail to its new routes", "err", err)
			}
			return
		}
		q.changeEach(messages, q.rekeyOne)
		from = messages[len(messages)-1].ID.Next()
	}
}

// rekeyOne returns the settlement that moves d, or nil.
func (q *Queue) rekeyOne(e *mail.Envelope, d *Delivery) *settlement {
	s := &settlement{envelope: e, old: d, new: d}
	q.part(s)
	if s.new == d {
		return nil
	}
	return s
}

// part divides s.new by the route table in force. The recipients that wait stay
// with it if they all go one way, whichever that is. Others leave for a message
// of their own: a copy, since a stored message gets no further deliveries.
func (q *Queue) part(s *settlement) {
	var ways []Destination
	groups := make(map[Destination][]RecipientState)
	var rest []RecipientState // nothing happens to these any more
	for _, r := range s.new.Recipients {
		if r.State.Final() || r.State == Dead {
			rest = append(rest, r)
			continue
		}
		to := q.destination(s.envelope, r.Index)
		if groups[to] == nil {
			ways = append(ways, to)
		}
		groups[to] = append(groups[to], r)
	}
	if len(ways) == 0 || len(ways) == 1 && ways[0] == s.new.Destination {
		return
	}
	d := s.new.clone()
	stay := ways[0]
	if groups[d.Destination] != nil {
		stay = d.Destination
	}
	for _, to := range ways {
		if to != stay {
			s.leaving = append(s.leaving, groups[to]...)
		}
	}
	if stay != d.Destination && d.scheduled() {
		d.Due = q.clock.now()
		d.comeBack()
	}
	d.Destination, d.Recipients = stay, append(rest, groups[stay]...)
	d.sortRecipients()
	s.new = d
}

// stayTogether takes back that recipients leave. An attempt finds out that some of
// them go another way, when the message can be read again.
func (s *settlement) stayTogether() {
	s.new.Recipients = append(s.new.Recipients, s.leaving...)
	s.new.sortRecipients()
	s.leaving = nil
}

func (d *Delivery) sortRecipients() {
	slices.SortFunc(d.Recipients, func(a, b RecipientState) int { return cmp.Compare(a.Index, b.Index) })
}

// errUnread: there is no copy of a message since it can't be read.
var errUnread = errors.New("the message can't be read")

// copyLeaving stages the message for the recipients that leave s. It is as old as
// the one they leave. An error is errUnread, or the stage's.
func (q *Queue) copyLeaving(s *settlement) (born, error) {
	content, err := q.store.Content(q.ctx, s.old.Message)
	if err != nil {
		return born{}, fmt.Errorf("%w: %w", errUnread, err)
	}
	defer content.Close()
	stage, err := q.store.Stage()
	if err != nil {
		return born{}, err
	}
	original := &watchedContent{Content: content}
	_, err = io.Copy(stage, io.NewSectionReader(original, 0, content.Size()))
	if original.err != nil {
		err = fmt.Errorf("%w: %w", errUnread, original.err)
	}
	if err != nil {
		stage.Discard()
		return born{}, err
	}
	e := *s.envelope
	e.ID, e.Recipients = mail.NewID(e.Arrival), nil
	for _, r := range s.leaving {
		e.Recipients = append(e.Recipients, s.envelope.Recipients[r.Index])
	}
	disposition := map[State]Disposition{Held: Hold, Captured: Capture}[s.old.State]
	deliveries := q.plot(&e, disposition)
	for _, d := range deliveries {
		d.Attempts, d.Warned, d.Bulk, d.Due = s.old.Attempts, s.old.Warned, s.old.Bulk, q.clock.now()
		if d.State == Active && s.old.Attempts > 0 {
			d.State = s.old.State
		}
		for i := range d.Recipients {
			r := s.leaving[d.Recipients[i].Index]
			r.Index = d.Recipients[i].Index
			d.Recipients[i] = r
		}
	}
	q.log.Info("new routes divide a message", "id", s.old.Message.String(), "part", e.ID.String(), "recipients", len(e.Recipients))
	return born{message: NewMessage{Envelope: &e, Deliveries: deliveries, Content: stage}}, nil
}
