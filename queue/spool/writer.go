package spool

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// writer builds the batch of one change. Its buffers are used again; keys and
// values are copied into the batch.
type writer struct {
	g     *generation
	batch *pebble.Batch
	sync  bool
	// live is nil where nobody else is at work: then everything is read.
	live   *liveMessages
	locked stripeSet

	messages []touchedMessage
	deltas   deltas
	files    []contentFile // to remove once the batch is durable

	key, other, value, scratch []byte
}

// contentFile is the file of a message that has ended.
type contentFile struct {
	id   mail.ID
	size int64
}

// touchedMessage is a message as the batch leaves it.
type touchedMessage struct {
	id mail.ID
	live
}

var writers = sync.Pool{New: func() any { return new(writer) }}

func (s *Spool) newWriter(g *generation) *writer {
	w := writers.Get().(*writer)
	w.g, w.batch = g, g.db.NewBatch()
	return w
}

// maxKept is the largest buffer that is kept for the next change, in octets.
const maxKept = 64 << 10

func (w *writer) free() {
	_ = w.batch.Close()
	if cap(w.value) > maxKept || cap(w.scratch) > maxKept || cap(w.messages) > 1024 {
		return
	}
	*w = writer{
		messages: w.messages[:0], deltas: w.deltas[:0], files: w.files[:0],
		key: w.key, other: w.other, value: w.value, scratch: w.scratch,
	}
	writers.Put(w)
}

// A batch in memory can't fail but by its size, which panics; nor can these.
func (w *writer) set(key, value []byte) { _ = w.batch.Set(key, value, nil) }
func (w *writer) delete(key []byte)     { _ = w.batch.Delete(key, nil) }

// deleteOnce removes a key that was written once at most since it was last
// removed: it and its removal vanish together at the next flush.
func (w *writer) deleteOnce(key []byte) { _ = w.batch.SingleDelete(key, nil) }

func (w *writer) create(n *queue.NewMessage) error {
	id := n.Envelope.ID
	if len(n.Deliveries) == 0 {
		return errors.New("a message needs a delivery")
	}
	st := n.Content.(*stage) // publish has checked
	size := st.Size()
	w.key = appendIDKey(w.key[:0], tableMessage, id)
	w.value, w.scratch = appendMessage(w.value[:0], w.scratch, n.Envelope, n.Deliveries, size)
	w.set(w.key, w.value)
	if err := w.content(id, st); err != nil {
		return err
	}
	for _, d := range n.Deliveries {
		if d.Message != id || d.State > queue.Dead {
			return fmt.Errorf("delivery %s/%d in state %s does not belong here", d.Message, d.Number, d.State)
		}
		if len(n.Deliveries) > 1 {
			w.record(d)
		}
		e := entryOf(d)
		w.key = e.appendKey(w.key[:0], d.DeliveryKey)
		w.set(w.key, nil)
		w.deltas.add(e.counter(), e.weight(1))
	}
	first := entryOf(n.Deliveries[0])
	w.deltas.add(first.counter(), counts{messages: 1, messageBytes: size})
	w.messages = append(w.messages, touchedMessage{id, live{
		size: size, remaining: int32(len(n.Deliveries)),
		single: len(n.Deliveries) == 1, number: n.Deliveries[0].Number, first: first,
	}})
	return nil
}

func (w *writer) content(id mail.ID, st *stage) error {
	if st.Size() > smallContent {
		w.key = appendIDKey(w.key[:0], tableFile, id)
		w.value = st.record().append(w.value[:0])
		w.set(w.key, w.value)
		return nil
	}
	data, err := st.small()
	if err == nil {
		w.key = appendIDKey(w.key[:0], tableContent, id)
		w.set(w.key, data)
	}
	return err
}

func (w *writer) record(d *queue.Delivery) {
	w.key = appendDeliveryKey(w.key[:0], d.DeliveryKey)
	w.value = appendDelivery(w.value[:0], d)
	w.set(w.key, w.value)
}

// put replaces the state of a delivery. What is stored decides about its old
// place, not m.Old: after a commit that failed the two may differ.
func (w *writer) put(m *queue.Move) error {
	if m.New.State > queue.Dead {
		return fmt.Errorf("%s is an end: it is removed instead", m.New.State)
	}
	message, old, once, err := w.stored(m.New.DeliveryKey)
	if err != nil {
		return err
	}
	w.record(m.New)
	e := entryOf(m.New)
	w.key, w.other = old.appendKey(w.key[:0], m.New.DeliveryKey), e.appendKey(w.other[:0], m.New.DeliveryKey)
	if !bytes.Equal(w.key, w.other) {
		w.deletePlace(once)
		w.set(w.other, nil)
	}
	w.deltas.add(old.counter(), old.weight(-1))
	w.deltas.add(e.counter(), e.weight(1))
	if message.touched = true; message.single {
		message.first = e
	}
	return nil
}

// remove ends a delivery, and its message if it was the last.
func (w *writer) remove(key queue.DeliveryKey) error {
	message, old, once, err := w.stored(key)
	if err != nil {
		return err
	}
	if !once {
		w.key = appendDeliveryKey(w.key[:0], key)
		w.delete(w.key)
	}
	w.key = old.appendKey(w.key[:0], key)
	w.deletePlace(once)
	w.deltas.add(old.counter(), old.weight(-1))
	if message.remaining--; message.remaining == 0 {
		w.deltas.add(old.counter(), counts{messages: -1, messageBytes: -message.size})
		w.end(message)
	}
	return nil
}

func (w *writer) deletePlace(once bool) {
	if once {
		w.deleteOnce(w.key)
	} else {
		w.delete(w.key)
	}
}

// end removes a message that has no deliveries left.
func (w *writer) end(m *touchedMessage) {
	w.key = appendIDKey(w.key[:0], tableMessage, m.id)
	w.deleteOnce(w.key)
	if m.size > smallContent {
		w.key = appendIDKey(w.key[:0], tableFile, m.id)
		w.delete(w.key)
		w.files = append(w.files, contentFile{m.id, m.size})
	} else {
		w.key = appendIDKey(w.key[:0], tableContent, m.id)
		w.deleteOnce(w.key)
	}
}

// erase removes a message with everything it still has.
func (w *writer) erase(id mail.ID) error {
	ds, err := readDeliveries(w.g.db, id)
	if err != nil {
		return err
	}
	for _, d := range ds {
		if err := w.remove(d.DeliveryKey); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) meta(name string, value []byte) {
	w.key = appendMetaKey(w.key[:0], name)
	if value == nil {
		w.delete(w.key)
	} else {
		w.set(w.key, value)
	}
}

// message returns what is known about a message, or reads it.
func (w *writer) message(id mail.ID) (*touchedMessage, error) {
	for i := range w.messages {
		if w.messages[i].id == id {
			if w.messages[i].remaining == 0 {
				return nil, queue.ErrNotFound
			}
			return &w.messages[i], nil
		}
	}
	m := touchedMessage{id: id}
	known := false
	if w.live != nil {
		m.live, known = w.live.get(id)
	}
	if !known {
		var err error
		if m.live, err = readLive(w.g.db, id); err != nil {
			return nil, err
		}
	}
	w.messages = append(w.messages, m)
	return &w.messages[len(w.messages)-1], nil
}

// stored returns where a delivery is now, with its message, and whether its
// keys were written once.
func (w *writer) stored(key queue.DeliveryKey) (m *touchedMessage, e entry, once bool, err error) {
	if m, err = w.message(key.Message); err != nil {
		return nil, e, false, err
	}
	if m.single {
		if key.Number != m.number {
			return nil, e, false, queue.ErrNotFound
		}
		return m, m.first, !m.touched, nil
	}
	d, err := readDelivery(w.g.db, key)
	if err != nil {
		return nil, e, false, err
	}
	return m, entryOf(d), false, nil
}

// count adds the changes of counters to the batch.
func (w *writer) count() {
	for i := range w.deltas {
		d := &w.deltas[i]
		if d.counts == (counts{}) {
			continue
		}
		w.key = appendTotalsKey(w.key[:0], d.destination, d.state)
		w.value = d.counts.append(w.value[:0])
		_ = w.batch.Merge(w.key, w.value, nil)
	}
}

// remember tells the cache what the batch has changed.
func (w *writer) remember() {
	for i := range w.messages {
		if m := &w.messages[i]; m.remaining == 0 {
			w.live.drop(m.id)
		} else {
			w.live.put(m.id, m.live)
		}
	}
}
