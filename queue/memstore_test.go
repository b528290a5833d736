package queue

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// memStore is a Store in memory, with faults on request. What it returns are
// copies, as from a disk.
type memStore struct {
	mu         sync.Mutex
	messages   map[mail.ID]*memMessage
	order      []mail.ID // sorted; IDs that are gone stay until compaction
	deliveries map[DeliveryKey]*Delivery
	lanes      map[Lane]*memLane
	meta       map[string][]byte
	reopened   atomic.Int64
	used       int64

	commits, synced int
	dueReads        int
	reads           int   // of single deliveries
	commitErr       error // of every commit, if set
	refuse          func(*Change) error
	doubt           func(*Change) error // done, and an error all the same
	reading         func(mail.ID)       // see onRead
	contentErr      map[mail.ID]error
	envelopeErr     map[mail.ID]error
	aside           map[mail.ID]bool // what Forget knows
	free            uint64
	freeErr         error
	stages          atomic.Int64 // open ones
	contents        atomic.Int64 // open ones
}

type memMessage struct {
	envelope *mail.Envelope
	content  []byte
	open     map[uint32]bool
	bad      func(Content) Content // if given, what reading it is like
}

// memLane is sorted; places before head are gone.
type memLane struct {
	places []Place
	head   int
}

func newMemStore() *memStore {
	return &memStore{
		messages: map[mail.ID]*memMessage{}, deliveries: map[DeliveryKey]*Delivery{},
		lanes: map[Lane]*memLane{}, meta: map[string][]byte{}, free: 1 << 40,
		reading: func(mail.ID) {}, contentErr: map[mail.ID]error{}, envelopeErr: map[mail.ID]error{},
	}
}

type memStage struct {
	s    *memStore
	buf  []byte
	done bool
}

func (s *memStore) Stage() (Stage, error) {
	s.stages.Add(1)
	return &memStage{s: s}, nil
}

func (t *memStage) Write(p []byte) (int, error) { t.buf = append(t.buf, p...); return len(p), nil }
func (t *memStage) Size() int64                 { return int64(len(t.buf)) }

func (t *memStage) Content() (Content, error) {
	t.s.contents.Add(1)
	return &memContent{Reader: bytes.NewReader(t.buf), s: t.s}, nil
}

func (t *memStage) Discard() {
	if !t.done {
		t.done = true
		t.s.stages.Add(-1)
	}
}

type memContent struct {
	*bytes.Reader
	s      *memStore
	closed bool
}

func (c *memContent) Size() int64 { return c.Reader.Size() }

func (c *memContent) Close() error {
	if c.closed {
		panic("content closed twice")
	}
	c.closed = true
	c.s.contents.Add(-1)
	return nil
}

func (s *memStore) Commit(_ context.Context, c *Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.commitErr != nil {
		return s.commitErr
	}
	if s.refuse != nil {
		if err := s.refuse(c); err != nil {
			return err
		}
	}
	if err := s.missing(c); err != nil {
		return err // and nothing of it is done
	}
	s.commits++
	if c.Sync {
		s.synced++
	}
	for _, n := range c.Create {
		id := n.Envelope.ID
		if s.messages[id] != nil {
			return fmt.Errorf("message %s created twice", id)
		}
		s.messages[id] = &memMessage{envelope: n.Envelope, content: n.Content.(*memStage).buf, open: map[uint32]bool{}}
		at, _ := slices.BinarySearchFunc(s.order, id, mail.ID.Compare)
		s.order = slices.Insert(s.order, at, id)
		s.used += n.Envelope.Size
		for _, d := range n.Deliveries {
			s.add(d)
		}
	}
	for _, m := range c.Put {
		if err := s.take(m.Old); err != nil {
			return err
		}
		s.add(m.New)
	}
	for _, d := range c.Remove {
		if err := s.take(d); err != nil {
			return err
		}
		m := s.messages[d.Message]
		if delete(m.open, d.Number); len(m.open) == 0 {
			s.used -= m.envelope.Size
			delete(s.messages, d.Message)
			s.compact()
		}
	}
	for k, v := range c.Meta {
		s.meta[k] = v
	}
	if s.doubt != nil {
		return s.doubt(c)
	}
	return nil
}

// missing returns an error if c is about a delivery that is not there.
func (s *memStore) missing(c *Change) error {
	keys := make([]DeliveryKey, 0, len(c.Put)+len(c.Remove))
	for _, m := range c.Put {
		keys = append(keys, m.Old.DeliveryKey)
	}
	for _, d := range c.Remove {
		keys = append(keys, d.DeliveryKey)
	}
	for _, k := range keys {
		if s.deliveries[k] == nil {
			return fmt.Errorf("%v: %w", k, ErrNotFound)
		}
	}
	return nil
}

func (s *memStore) compact() {
	if len(s.order) > 64 && len(s.messages) < len(s.order)/2 {
		s.order = slices.DeleteFunc(s.order, func(id mail.ID) bool { return s.messages[id] == nil })
	}
}

func (s *memStore) add(d *Delivery) {
	c := d.clone()
	s.deliveries[d.DeliveryKey] = c
	s.messages[d.Message].open[d.Number] = true
	if !c.scheduled() {
		return
	}
	l := s.lanes[c.Lane()]
	if l == nil {
		l = &memLane{}
		s.lanes[c.Lane()] = l
	}
	at, _ := slices.BinarySearchFunc(l.places[l.head:], c.place(), comparePlaces)
	l.places = slices.Insert(l.places, l.head+at, c.place())
}

// take removes what must be stored exactly as old says.
func (s *memStore) take(old *Delivery) error {
	d := s.deliveries[old.DeliveryKey]
	if d == nil {
		return fmt.Errorf("%v: %w", old.DeliveryKey, ErrNotFound)
	}
	if comparePlaces(d.place(), old.place()) != 0 || d.Lane() != old.Lane() || d.State != old.State {
		panic(fmt.Sprintf("stored %+v, the queue thinks %+v", d, old))
	}
	delete(s.deliveries, old.DeliveryKey)
	if !d.scheduled() {
		return nil
	}
	l := s.lanes[d.Lane()]
	at, ok := slices.BinarySearchFunc(l.places[l.head:], d.place(), comparePlaces)
	if !ok {
		panic("not in its lane")
	}
	if at == 0 {
		l.head++
	} else {
		l.places = slices.Delete(l.places, l.head+at, l.head+at+1)
	}
	if l.head == len(l.places) {
		delete(s.lanes, d.Lane())
	}
	return nil
}

func (s *memStore) Envelope(_ context.Context, id mail.ID) (*mail.Envelope, error) {
	s.read(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.envelopeErr[id]; err != nil {
		return nil, err
	}
	if m := s.messages[id]; m != nil {
		return m.envelope, nil
	}
	return nil, fmt.Errorf("%s: %w", id, ErrNotFound)
}

func (s *memStore) Content(_ context.Context, id mail.ID) (Content, error) {
	s.read(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.contentErr[id]; err != nil {
		return nil, err
	}
	if m := s.messages[id]; m != nil {
		s.contents.Add(1)
		c := &memContent{Reader: bytes.NewReader(m.content), s: s}
		if m.bad != nil {
			return m.bad(c), nil
		}
		return c, nil
	}
	return nil, fmt.Errorf("%s: %w", id, ErrNotFound)
}

func (s *memStore) Deliveries(_ context.Context, id mail.ID) ([]*Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.messages[id] == nil {
		return nil, fmt.Errorf("%s: %w", id, ErrNotFound)
	}
	if err := s.envelopeErr[id]; err != nil {
		return nil, err
	}
	return s.unfinished(id), nil
}

// unfinished returns the deliveries of a message; mu is held.
func (s *memStore) unfinished(id mail.ID) (all []*Delivery) {
	for n := range s.messages[id].open {
		all = append(all, s.deliveries[DeliveryKey{id, n}].clone())
	}
	slices.SortFunc(all, func(a, b *Delivery) int { return compareKeys(a.DeliveryKey, b.DeliveryKey) })
	return all
}

func (s *memStore) Delivery(_ context.Context, key DeliveryKey) (*Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if d := s.deliveries[key]; d != nil {
		return d.clone(), nil
	}
	return nil, fmt.Errorf("%v: %w", key, ErrNotFound)
}

func (s *memStore) Lanes(_ context.Context, fn func(Lane, time.Time) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, l := range s.lanes {
		if err := fn(name, l.places[l.head].Due); err != nil {
			return err
		}
	}
	return nil
}

func (s *memStore) Due(_ context.Context, lane Lane, after Place, until time.Time, limit int) ([]Place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dueReads++
	l := s.lanes[lane]
	if l == nil {
		return nil, nil
	}
	at, found := slices.BinarySearchFunc(l.places[l.head:], after, comparePlaces)
	if found {
		at++
	}
	var all []Place
	for _, p := range l.places[l.head+at:] {
		if len(all) == limit || p.Due.After(until) {
			break
		}
		all = append(all, p)
	}
	return all, nil
}

func (s *memStore) Messages(_ context.Context, from mail.ID, limit int) ([]Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, _ := slices.BinarySearchFunc(s.order, from, mail.ID.Compare)
	var all []Message
	for _, id := range s.order[at:] {
		if len(all) == limit {
			break
		}
		if m := s.messages[id]; m != nil {
			all = append(all, Message{m.envelope, s.unfinished(id)})
		}
	}
	return all, nil
}

func (s *memStore) Survey(_ context.Context, fn func(Destination, State, mail.ID)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, d := range s.deliveries {
		fn(d.Destination, d.State, key.Message)
	}
	return nil
}

func (s *memStore) InState(_ context.Context, state State, after DeliveryKey, limit int) ([]DeliveryKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []DeliveryKey
	for key, d := range s.deliveries {
		if d.State == state && compareKeys(key, after) > 0 {
			all = append(all, key)
		}
	}
	slices.SortFunc(all, compareKeys)
	return all[:min(len(all), limit)], nil
}

func (s *memStore) Totals() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := Totals{Messages: int64(len(s.messages)), Bytes: s.used, By: map[Destination]map[State]Total{}}
	for _, d := range s.deliveries {
		by := t.By[d.Destination]
		if by == nil {
			by = map[State]Total{}
			t.By[d.Destination] = by
		}
		c := by[d.State]
		c.Deliveries++
		c.Recipients += int64(len(d.Recipients))
		c.Bytes += d.Size
		by[d.State] = c
	}
	return t
}

func (s *memStore) Meta(_ context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meta[key], nil
}

func (s *memStore) Damaged() []Damage { return nil }

func (s *memStore) Reopened() int64 { return s.reopened.Load() }

func (s *memStore) Forget(_ context.Context, id mail.ID) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.aside[id]
	delete(s.aside, id)
	return was, nil
}

func (s *memStore) Free() (uint64, error) { s.mu.Lock(); defer s.mu.Unlock(); return s.free, s.freeErr }
func (s *memStore) Close() error          { return nil }

func (s *memStore) Verify(context.Context, func(Damage), func(done, total int64)) error { return nil }

func (s *memStore) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// onRead has f called before an envelope or a content is read.
func (s *memStore) onRead(f func(mail.ID)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = f
}

func (s *memStore) read(id mail.ID) {
	s.mu.Lock()
	f := s.reading
	s.mu.Unlock()
	f(id)
}

// fail makes every commit fail with err, or none if err is nil.
func (s *memStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commitErr = err
}

// count returns how many messages there are.
func (s *memStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.messages)
}
