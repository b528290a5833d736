package queue

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
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
	if err := q.part(s); err != nil {
		if !errors.Is(err, ErrNotFound) {
			q.log.Error("moving a delivery to its new route", "id", d.Message.String(), "err", err)
		}
		return nil
	}
	if s.new == d {
		return nil
	}
	return s
}

// part divides s.new by the route table in force: the recipients that wait stay
// with it if they all go one way, whichever that is; others get deliveries of
// their own, which are due at once.
func (q *Queue) part(s *settlement) error {
	d := s.new
	var ways []Destination
	groups := make(map[Destination][]RecipientState)
	var rest []RecipientState // nothing happens to these any more
	for _, r := range d.Recipients {
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
	if len(ways) == 0 || len(ways) == 1 && ways[0] == d.Destination {
		return nil
	}
	numbers, err := q.freeNumbers(d.DeliveryKey, len(ways)-1)
	if err != nil {
		return err
	}
	stay := ways[0]
	if groups[d.Destination] != nil {
		stay = d.Destination
	}
	whole := d
	if s.new == s.old {
		d = d.clone()
	}
	for _, to := range ways {
		if to == stay {
			continue
		}
		n := *whole
		n.Number, n.Destination, n.Recipients = numbers[0], to, groups[to]
		if n.scheduled() {
			n.Due = q.clock.now()
		}
		numbers = numbers[1:]
		s.add = append(s.add, &n)
	}
	if stay != d.Destination && d.scheduled() {
		d.Due = q.clock.now()
	}
	d.Destination, d.Recipients = stay, append(rest, groups[stay]...)
	slices.SortFunc(d.Recipients, func(a, b RecipientState) int { return cmp.Compare(a.Index, b.Index) })
	s.new = d
	return nil
}

// freeNumbers returns n delivery numbers that the message has never used. They
// are drawn from the upper half of the range: the lower one is given out when a
// message is accepted.
func (q *Queue) freeNumbers(key DeliveryKey, n int) ([]uint32, error) {
	if n == 0 {
		return nil, nil
	}
	existing, err := q.store.Deliveries(q.ctx, key.Message)
	if err != nil {
		return nil, fmt.Errorf("reading the message's deliveries: %w", err)
	}
	used := make(map[uint32]bool, len(existing)+n)
	for _, d := range existing {
		used[d.Number] = true
	}
	numbers := make([]uint32, 0, n)
	for len(numbers) < n {
		if k := rand.Uint32() | 1<<31; !used[k] {
			used[k] = true
			numbers = append(numbers, k)
		}
	}
	return numbers, nil
}
