package spool

import (
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// What is wrong with an engine that can be opened.
var (
	// errRotten: something can't be read that every start needs.
	errRotten = errors.New("tables are damaged")
	// errTangled: all can be read, but the schedule and the counters may not be
	// what follows from the records.
	errTangled = errors.New("the schedule may not be what it should be")
)

// examine looks at what every start reads, and returns errRotten, errTangled or
// another error.
func (s *Spool) examine(g *generation) error {
	rotten := func(err error) error {
		if isDamage(err) {
			return errors.Join(errRotten, err)
		}
		return err
	}
	for from := []byte{tableSchedule}; from != nil; {
		var err error
		if _, from, err = readLanes(g.db, from); err != nil {
			return rotten(err)
		}
	}
	for _, table := range []byte{tableFormat, tableTotals, tableMeta} {
		if err := scan(g.db, []byte{table}, func(_, _ []byte) error { return nil }); err != nil {
			return rotten(err)
		}
	}
	if _, err := s.fs.Stat(s.rebuildPath()); err == nil {
		return errTangled
	}
	_, err := get(g.db, rebuildingKey)
	switch {
	case err == nil:
		return errTangled
	case errors.Is(err, queue.ErrNotFound):
		return nil
	}
	return err
}

func (s *Spool) rebuildPath() string { return s.fs.PathJoin(s.dir, rebuildName) }

// noteRebuild leaves a note that the schedule has to be made anew, for whoever opens
// the engine next.
func (s *Spool) noteRebuild() error {
	f, err := s.fs.Create(s.rebuildPath(), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDir(s.fs, s.dir))
}

// rot has the engine made anew by the next generation, once.
func (s *Spool) rot(g *generation, err error) {
	if !g.started.Load() || s.renewed.Load() || s.renewNext.Swap(true) {
		return
	}
	s.log.Error("a table of the queue is damaged; it is made anew without it", "event", "queue_damaged", "err", firstLine(err))
	g.fence.close(err)
}

// noteRot takes an error of reading a table, and returns it. Damage in a block that
// nothing is written to any more is not met by anybody else.
func (s *Spool) noteRot(g *generation, err error) error {
	if isDamage(err) {
		s.rot(g, err)
	}
	return err
}

// rebuildBatch is how much is written at once, in octets.
const rebuildBatch = 1 << 20

// rebuild makes the schedule, the index of states and the counters anew from the
// records of messages and deliveries. If it is interrupted the next Open does it
// again. Nobody else may be at work.
func (s *Spool) rebuild(g *generation) (map[counter]counts, error) {
	b := rebuilder{s: s, g: g, w: s.newWriter(g), by: make(map[counter]counts)}
	defer func() { b.w.free() }()
	_ = b.w.batch.DeleteRange([]byte{tableSchedule}, []byte{tableTotals + 1}, nil)
	b.w.set(rebuildingKey, nil)
	b.w.set(orphansKey, nil) // what tangled it may have taken records with it
	if _, err := scanTable(g.db, tableMessage, b.message); err != nil {
		return nil, wrap("making the schedule anew", err)
	}
	if err := b.debris(); err != nil {
		return nil, wrap("making the schedule anew", err)
	}
	b.w.resetCounts(b.by)
	b.w.delete(rebuildingKey)
	if err := g.apply(b.w.batch); err != nil {
		return nil, err
	}
	if err := s.fs.Remove(s.rebuildPath()); err != nil && !isNotExist(err) {
		return nil, wrap("removing the note of a rebuild", err)
	}
	return b.by, nil
}

// rebuilder is one run of rebuild.
type rebuilder struct {
	s  *Spool
	g  *generation
	w  *writer
	by map[counter]counts
}

// flush writes what has come together.
func (b *rebuilder) flush() error {
	if b.w.batch.Len() < rebuildBatch {
		return nil
	}
	if err := b.g.apply(b.w.batch); err != nil {
		return err
	}
	b.w.free()
	b.w = b.s.newWriter(b.g)
	return nil
}

// message puts a message's deliveries where they belong.
func (b *rebuilder) message(it *pebble.Iterator) error {
	id, err := parseIDKey(it.Key(), tableMessage)
	if err != nil {
		return nil // Verify reports it
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return err
	}
	m, err := decodeMessage(value)
	var ds []*queue.Delivery
	if err == nil {
		ds, err = readDeliveries(b.g.db, id)
	}
	if err == nil && len(ds) == 0 {
		ds, err = b.bereft(id, &m)
	}
	if err != nil {
		return b.unreadable(id, err)
	}
	for i, d := range ds {
		e := entryOf(d)
		b.w.key = e.appendKey(b.w.key[:0], d.DeliveryKey)
		b.w.set(b.w.key, nil)
		c := e.weight(1)
		if i == 0 {
			c.messages, c.messageBytes = 1, m.size
		}
		sum := b.by[e.counter()]
		sum.add(c)
		b.by[e.counter()] = sum
	}
	return b.flush()
}

// bereft gives a message that has lost all its deliveries one for the operator, of
// all its recipients. It has no destination: if it is retried it is routed anew.
func (b *rebuilder) bereft(id mail.ID, m *messageRecord) ([]*queue.Delivery, error) {
	e, err := decodeEnvelope(m.envelope, id)
	if err != nil {
		return nil, unreadable("envelope", err)
	}
	d := &queue.Delivery{
		DeliveryKey: queue.DeliveryKey{Message: id}, Identity: e.Identity.Name,
		State: queue.Dead, Due: e.Arrival, Arrival: e.Arrival, Size: m.size,
	}
	now := time.Now()
	for i := range e.Recipients {
		d.Recipients = append(d.Recipients, queue.RecipientState{
			Index: i, State: queue.Dead, At: now, Reason: "what had become of it is lost: it may have been delivered",
		})
	}
	b.w.record(d)
	return []*queue.Delivery{d}, b.s.report(queue.Damage{
		Message: id, Where: tableNames[tableDelivery], What: "none of its deliveries is left", Remedy: remedyBereft,
	})
}

// unreadable moves a message aside that can't be decoded: having no place in the
// schedule, it would be met by nobody.
func (b *rebuilder) unreadable(id mail.ID, cause error) error {
	d := queue.Damage{Message: id, Where: "records", What: firstLine(cause), Remedy: remedyRecord}
	if undecodable(cause) {
		if _, err := b.w.moveRecords(id); err != nil && !isDamage(err) {
			return err // what can't be read of it stays where it is
		}
		d.MovedTo = asideTable
	}
	_ = b.s.damaged(d)
	return b.flush()
}

// debris removes what is left of messages whose records are lost. Contents are put
// aside, those in files by the next sweep.
func (b *rebuilder) debris() error {
	for _, table := range []byte{tableContent, tableDelivery, tableFile} {
		var last mail.ID
		gone := false
		_, err := scanTable(b.g.db, table, func(it *pebble.Iterator) error {
			var id mail.ID
			if copy(id[:], it.Key()[1:]) != len(id) {
				return nil
			}
			if id != last {
				_, err := get(b.g.db, appendIDKey(nil, tableMessage, id))
				last, gone = id, errors.Is(err, queue.ErrNotFound)
			}
			if !gone {
				return nil
			}
			if table == tableContent {
				value, err := it.ValueAndErr()
				if err != nil {
					return err
				}
				b.w.set(appendDamagedKey(nil, it.Key()), value)
			}
			b.w.delete(it.Key())
			return b.flush()
		})
		if err != nil {
			return err
		}
	}
	return nil
}
