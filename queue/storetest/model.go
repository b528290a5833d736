package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// Model is what a store must hold, kept in the simplest way. Its values are
// never changed, so that a clone may share them.
type Model struct {
	messages   map[mail.ID]*Message
	deliveries map[queue.DeliveryKey]*queue.Delivery
	meta       map[string]string
}

// NewModel returns the model of an empty store.
func NewModel() *Model {
	return &Model{map[mail.ID]*Message{}, map[queue.DeliveryKey]*queue.Delivery{}, map[string]string{}}
}

// Clone returns a copy.
func (m *Model) Clone() *Model {
	return &Model{maps.Clone(m.messages), maps.Clone(m.deliveries), maps.Clone(m.meta)}
}

// Add adds a message.
func (m *Model) Add(n *Message) {
	m.messages[n.Envelope.ID] = n
	for _, d := range n.Deliveries {
		m.deliveries[d.DeliveryKey] = d
	}
}

func (m *Model) remove(key queue.DeliveryKey) {
	delete(m.deliveries, key)
	for k := range m.deliveries {
		if k.Message == key.Message {
			return
		}
	}
	delete(m.messages, key.Message)
}

// keys returns the unfinished deliveries in order.
func (m *Model) keys() []queue.DeliveryKey {
	return slices.SortedFunc(maps.Keys(m.deliveries), compareKeys)
}

func compareKeys(a, b queue.DeliveryKey) int {
	return cmp.Or(a.Message.Compare(b.Message), cmp.Compare(a.Number, b.Number))
}

// Compare returns how s differs from m, as far as the methods of a Store tell,
// and whatever its Verify finds.
func (m *Model) Compare(ctx context.Context, s queue.Store) error {
	for _, compare := range []func(context.Context, queue.Store) error{
		m.compareMessages, m.compareSchedule, m.compareStates, m.compareTotals, m.compareSurvey, m.compareMeta, verify,
	} {
		if err := compare(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (m *Model) compareMessages(ctx context.Context, s queue.Store) error {
	messages, err := s.Messages(ctx, mail.ID{}, len(m.messages)+1)
	if err != nil {
		return fmt.Errorf("listing messages: %w", err)
	}
	want := slices.SortedFunc(maps.Keys(m.messages), mail.ID.Compare)
	var got []mail.ID
	for _, e := range messages {
		got = append(got, e.ID)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("messages %v, want %v", got, want)
	}
	for i, id := range want {
		n := m.messages[id]
		if !reflect.DeepEqual(messages[i].Envelope, n.Envelope) {
			return fmt.Errorf("envelope %+v, want %+v", messages[i].Envelope, n.Envelope)
		}
		c, err := s.Content(ctx, id)
		if err == nil {
			err = checkContent(c, n.Content)
		}
		if err != nil {
			return fmt.Errorf("content of %s: %w", id, err)
		}
		if err := m.compareDeliveries(ctx, s, id); err != nil {
			return err
		}
		if alone, err := s.Deliveries(ctx, id); err != nil || !reflect.DeepEqual(messages[i].Deliveries, alone) {
			return fmt.Errorf("deliveries of %s with it: %+v, alone: %+v (%v)", id, messages[i].Deliveries, alone, err)
		}
	}
	return nil
}

func (m *Model) compareDeliveries(ctx context.Context, s queue.Store, id mail.ID) error {
	got, err := s.Deliveries(ctx, id)
	if err != nil {
		return err
	}
	var want []*queue.Delivery
	for _, k := range m.keys() {
		if k.Message == id {
			want = append(want, m.deliveries[k])
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%s has %d deliveries, want %d", id, len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			return fmt.Errorf("delivery %+v, want %+v", got[i], want[i])
		}
		one, err := s.Delivery(ctx, want[i].DeliveryKey)
		if err != nil || !reflect.DeepEqual(one, want[i]) {
			return fmt.Errorf("delivery alone %+v (%v), want %+v", one, err, want[i])
		}
	}
	return nil
}

func (m *Model) compareSchedule(ctx context.Context, s queue.Store) error {
	want := map[queue.Lane][]queue.Place{}
	for k, d := range m.deliveries {
		if d.State <= queue.Deferred {
			want[d.Lane()] = append(want[d.Lane()], queue.Place{Due: d.Due, DeliveryKey: k})
		}
	}
	got := map[queue.Lane]time.Time{}
	err := s.Lanes(ctx, func(l queue.Lane, first time.Time) error {
		got[l] = first
		return nil
	})
	if err != nil {
		return fmt.Errorf("lanes: %w", err)
	}
	if len(got) != len(want) {
		return fmt.Errorf("lanes %v, want %v", got, want)
	}
	for lane, places := range want {
		slices.SortFunc(places, func(a, b queue.Place) int {
			return cmp.Or(a.Due.Compare(b.Due), compareKeys(a.DeliveryKey, b.DeliveryKey))
		})
		if !got[lane].Equal(places[0].Due) {
			return fmt.Errorf("lane %v begins at %v, want %v", lane, got[lane], places[0].Due)
		}
		due, err := allDue(ctx, s, lane)
		if err != nil || !slices.Equal(due, places) {
			return fmt.Errorf("lane %v has %v (%v), want %v", lane, due, err, places)
		}
	}
	return nil
}

// allDue reads a lane two places at a time.
func allDue(ctx context.Context, s queue.Store, lane queue.Lane) (all []queue.Place, err error) {
	var after queue.Place
	for {
		some, err := s.Due(ctx, lane, after, Start.Add(10000*time.Hour), 2)
		if err != nil || len(some) == 0 {
			return all, err
		}
		all = append(all, some...)
		after = some[len(some)-1]
	}
}

func (m *Model) compareStates(ctx context.Context, s queue.Store) error {
	for _, state := range []queue.State{queue.Held, queue.Captured, queue.Dead} {
		var want, got []queue.DeliveryKey
		for _, k := range m.keys() {
			if m.deliveries[k].State == state {
				want = append(want, k)
			}
		}
		for {
			var after queue.DeliveryKey
			if len(got) > 0 {
				after = got[len(got)-1]
			}
			some, err := s.InState(ctx, state, after, 2)
			if err != nil {
				return err
			}
			if got = append(got, some...); len(some) == 0 {
				break
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("%s: %v, want %v", state, got, want)
		}
	}
	return nil
}

func (m *Model) compareSurvey(ctx context.Context, s queue.Store) error {
	type seen struct {
		to    queue.Destination
		state queue.State
		id    mail.ID
	}
	want, got := map[seen]int{}, map[seen]int{}
	for k, d := range m.deliveries {
		want[seen{d.Destination, d.State, k.Message}]++
	}
	err := s.Survey(ctx, func(to queue.Destination, state queue.State, id mail.ID) { got[seen{to, state, id}]++ })
	if err != nil || !maps.Equal(got, want) {
		return fmt.Errorf("survey: %v (%v), want %v", got, err, want)
	}
	return nil
}

// Totals returns what the store must count.
func (m *Model) Totals() queue.Totals {
	t := queue.Totals{By: map[queue.Destination]map[queue.State]queue.Total{}}
	for _, n := range m.messages {
		t.Messages++
		t.Bytes += int64(len(n.Content))
	}
	for _, d := range m.deliveries {
		if t.By[d.Destination] == nil {
			t.By[d.Destination] = map[queue.State]queue.Total{}
		}
		total := t.By[d.Destination][d.State]
		total.Deliveries++
		total.Bytes += d.Size
		for _, r := range d.Recipients {
			if !r.State.Final() {
				total.Recipients++
			}
		}
		t.By[d.Destination][d.State] = total
	}
	return t
}

func (m *Model) compareTotals(_ context.Context, s queue.Store) error {
	got, want := s.Totals(), m.Totals()
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("totals %+v, want %+v", got, want)
	}
	if s.Used() != want.Bytes {
		return fmt.Errorf("%d octets used, want %d", s.Used(), want.Bytes)
	}
	return nil
}

func (m *Model) compareMeta(ctx context.Context, s queue.Store) error {
	for _, key := range metaKeys {
		got, err := s.Meta(ctx, key)
		want, there := m.meta[key]
		if err != nil || string(got) != want || (got != nil) != there {
			return fmt.Errorf("meta %s: %q (%v), want %q", key, got, err, want)
		}
	}
	return nil
}

func verify(ctx context.Context, s queue.Store) error {
	var all []error
	err := s.Verify(ctx, func(d queue.Damage) {
		all = append(all, fmt.Errorf("verify: %s %s: %s", d.Message, d.Where, d.What))
	}, nil)
	return errors.Join(append(all, err)...)
}

// Larger returns how many messages have a content larger than size octets.
func (m *Model) Larger(size int) int {
	n := 0
	for _, message := range m.messages {
		if len(message.Content) > size {
			n++
		}
	}
	return n
}
