package spool

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// counts are what one counter key holds, or what a change adds to it. As a
// value they are five varints: deliveries, recipients, octets of content once
// for each delivery, messages, octets of content once for each message.
//
// The last two belong to no destination: whichever key a change touches anyway
// takes them, and only their sum over all keys means something. So that a
// message costs one merge when it comes and one when it goes.
type counts struct {
	deliveries, recipients, bytes int64
	messages, messageBytes        int64
}

func (c *counts) add(o counts) {
	c.deliveries += o.deliveries
	c.recipients += o.recipients
	c.bytes += o.bytes
	c.messages += o.messages
	c.messageBytes += o.messageBytes
}

func (c counts) append(b []byte) []byte {
	for _, n := range [...]int64{c.deliveries, c.recipients, c.bytes, c.messages, c.messageBytes} {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func decodeCounts(b []byte) (counts, error) {
	d := decoder{b: b}
	c := counts{
		deliveries: d.varint(), recipients: d.varint(), bytes: d.varint(),
		messages: d.varint(), messageBytes: d.varint(),
	}
	return c, d.end()
}

// merger adds up counts. Pebble keeps its name in the database.
var merger = &pebble.Merger{
	Name: "postrider.counts.1",
	Merge: func(_, value []byte) (pebble.ValueMerger, error) {
		c, err := decodeCounts(value)
		return &countsMerge{c}, err
	},
}

// countsMerge adds counts up. An operand that can't be read is an error, which
// Pebble gives to whoever reads. It is not a DeletableValueMerger that drops a
// sum of nothing: in Pebble v2.1.7 a merge that ends in a deletion on top of a
// Set makes compactions panic (internal/compact/iterator.go leaves skip set).
// Open removes such keys instead, see prune.
type countsMerge struct {
	sum counts
}

func (m *countsMerge) MergeNewer(value []byte) error {
	c, err := decodeCounts(value)
	m.sum.add(c)
	return err
}

func (m *countsMerge) MergeOlder(value []byte) error { return m.MergeNewer(value) }

func (m *countsMerge) Finish(bool) ([]byte, io.Closer, error) {
	return m.sum.append(nil), nil, nil
}

// counter names one counter key.
type counter struct {
	destination queue.Destination
	state       queue.State
}

// delta is what one change adds to one counter.
type delta struct {
	counter
	counts
}

// deltas collect what a change does to the counters, each counter once.
type deltas []delta

func (ds *deltas) add(k counter, c counts) {
	for i := range *ds {
		if (*ds)[i].counter == k {
			(*ds)[i].counts.add(c)
			return
		}
	}
	*ds = append(*ds, delta{k, c})
}

// tally is the sum of all counters in memory, equal to what is stored.
type tally struct {
	mu  sync.Mutex
	sum counts // messages and messageBytes only
	by  map[counter]counts
}

func (t *tally) reset(by map[counter]counts) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.by, t.sum = by, counts{}
	for _, c := range by {
		t.sum.add(c)
	}
}

func (t *tally) add(ds deltas) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range ds {
		c := t.by[ds[i].counter]
		c.add(ds[i].counts)
		if c == (counts{}) {
			delete(t.by, ds[i].counter)
		} else {
			t.by[ds[i].counter] = c
		}
		t.sum.add(ds[i].counts)
	}
}

func (t *tally) bytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sum.messageBytes
}

func (t *tally) totals() queue.Totals {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := queue.Totals{
		Messages: t.sum.messages, Bytes: t.sum.messageBytes,
		By: make(map[queue.Destination]map[queue.State]queue.Total),
	}
	for k, c := range t.by {
		if c.deliveries == 0 {
			continue
		}
		if out.By[k.destination] == nil {
			out.By[k.destination] = make(map[queue.State]queue.Total)
		}
		out.By[k.destination][k.state] = queue.Total{Deliveries: c.deliveries, Recipients: c.recipients, Bytes: c.bytes}
	}
	return out
}

// loadCounts reads all counters. There is one for each destination and state
// that had mail since the last prune; those that are nothing again are left out.
func loadCounts(r pebble.Reader) (by map[counter]counts, nothing []counter, err error) {
	by = make(map[counter]counts)
	err = scan(r, []byte{tableTotals}, func(key, value []byte) error {
		destination, state, err := parseTotalsKey(key)
		if err != nil {
			return err
		}
		c, err := decodeCounts(value)
		if c == (counts{}) {
			nothing = append(nothing, counter{destination, state})
		} else {
			by[counter{destination, state}] = c
		}
		return err
	})
	return by, nothing, err
}

// prune removes counters that are nothing, so that destinations of years ago
// don't slow down the next start. Nobody else may be at work.
func (s *Spool) prune(g *generation, nothing []counter) error {
	if len(nothing) == 0 {
		return nil
	}
	w := s.newWriter(g)
	defer w.free()
	for _, k := range nothing {
		w.key = appendTotalsKey(w.key[:0], k.destination, k.state)
		w.delete(w.key)
	}
	return g.apply(w.batch)
}

// Totals returns what is stored, by destination and state.
func (s *Spool) Totals() queue.Totals { return s.tally.totals() }

// Used returns the octets of content of all messages.
func (s *Spool) Used() int64 { return s.tally.bytes() }

// recount counts from the records, all but those of message without. It is for
// when the counters can't be trusted.
func recount(r pebble.Reader, without mail.ID) (map[counter]counts, error) {
	by := make(map[counter]counts)
	add := func(k counter, c counts) {
		sum := by[k]
		sum.add(c)
		by[k] = sum
	}
	err := scan(r, []byte{tableMessage}, func(key, value []byte) error {
		id, err := parseIDKey(key, tableMessage)
		if err != nil || id == without {
			return nil
		}
		m, err := decodeMessage(value)
		if err != nil {
			return nil // another one that will be moved aside when it is met
		}
		ds, err := readDeliveries(r, id)
		if err = wrap("reading deliveries", err); errors.Is(err, queue.ErrDamaged) || errors.Is(err, queue.ErrNotFound) {
			return nil
		}
		for i, d := range ds {
			e := entryOf(d)
			add(e.counter(), e.weight(1))
			if i == 0 {
				add(e.counter(), counts{messages: 1, messageBytes: m.size})
			}
		}
		return err
	})
	return by, err
}

// resetCounts writes the counters anew.
func (w *writer) resetCounts(by map[counter]counts) {
	_ = w.batch.DeleteRange([]byte{tableTotals}, []byte{tableTotals + 1}, nil)
	for k, c := range by {
		w.key = appendTotalsKey(w.key[:0], k.destination, k.state)
		w.set(w.key, c.append(nil))
	}
}
