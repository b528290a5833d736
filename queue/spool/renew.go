package spool

import (
	"bytes"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// newName is the folder of an engine that is being made.
const newName = dbName + ".new"

// renew puts a new engine in the place of one with damaged tables: with all that
// can be read, and nothing that fails whenever Pebble meets it. The schedule and the
// counters are made when it is opened. The old engine is kept aside. It needs as much
// space as the messages in the engine take up.
func (s *Spool) renew() error {
	fence := func(fs vfs.FS) *fence { return newFence(fs, func() bool { return false }, func(error) {}) }
	o := tuning(s.fs, s.opts, newEngineLog(s.log, fence(s.fs)))
	o.EnsureDefaults()
	c := copier{s: s, known: make(map[mail.ID]bool), told: make(map[mail.ID]bool)}
	read := func(whole bool, fn func(*pebble.DB) error) error {
		readable, err := s.hollow(o, whole)
		if err != nil {
			return err
		}
		defer func() { _ = s.fs.Remove(readable.empty) }()
		if !whole {
			for name, err := range readable.tables {
				_ = s.damaged(queue.Damage{Where: name, What: firstLine(err), Remedy: remedyTable})
			}
		}
		db, err := s.openReadOnly(fence(readable))
		if err != nil {
			return err
		}
		return errors.Join(fn(db), db.Close())
	}
	// One block that can't be read stands in the way of all tables in which keys of
	// the same range lie. So the tables that are well are asked by themselves first
	// which messages there are.
	if err := read(true, c.note); err != nil {
		return wrap("reading the damaged engine", err)
	}
	err := read(false, func(db *pebble.DB) error { return s.copyEngine(fence(s.fs), db, &c) })
	if err != nil {
		return errors.Join(wrap("making the engine anew", err), s.fs.RemoveAll(s.fs.PathJoin(s.dir, newName)))
	}
	aside := s.asideName(dbName)
	if err := s.fs.Rename(s.fs.PathJoin(s.dir, dbName), aside); err != nil {
		return err
	}
	s.log.Error("the damaged engine was replaced by one with all that can be read of it", "event", "queue_renewed",
		"moved_to", aside, "remedy", "remove it when the messages reported are dealt with")
	return s.finishRenewal()
}

// finishRenewal puts a new engine in its place, or removes one that is not complete.
// After an error the new one may be all there is.
func (s *Spool) finishRenewal() error {
	made, db := s.fs.PathJoin(s.dir, newName), s.fs.PathJoin(s.dir, dbName)
	if _, err := s.fs.Stat(made); err != nil {
		if isNotExist(err) {
			return nil
		}
		return err
	}
	switch _, err := s.fs.Stat(db); {
	case err == nil:
		return s.fs.RemoveAll(made)
	case !isNotExist(err):
		return err
	}
	if err := s.fs.Rename(made, db); err != nil {
		return err
	}
	return syncDir(s.fs, s.dir)
}

func (s *Spool) openReadOnly(f *fence) (*pebble.DB, error) {
	o := tuning(f, s.opts, newEngineLog(s.log, f))
	o.ReadOnly = true
	return pebble.Open(s.fs.PathJoin(s.dir, dbName), o)
}

// copyEngine makes the new engine, synced.
func (s *Spool) copyEngine(f *fence, from *pebble.DB, c *copier) error {
	made := s.fs.PathJoin(s.dir, newName)
	if err := s.fs.RemoveAll(made); err != nil {
		return err
	}
	to, err := pebble.Open(made, tuning(f, s.opts, newEngineLog(s.log, f)))
	if err != nil {
		return err
	}
	c.from, c.to, c.batch = from, to, to.NewBatch()
	c.set([]byte{tableFormat}, []byte{formatVersion})
	c.set(rebuildingKey, nil)
	err = c.run()
	if err == nil {
		err = to.Apply(c.batch, pebble.Sync)
	}
	if err = errors.Join(err, to.Close()); err == nil {
		err = syncDir(s.fs, s.dir)
	}
	return errors.Join(err, f.failure())
}

// copier copies the tables that can't be made from others.
type copier struct {
	s     *Spool
	from  *pebble.DB
	to    *pebble.DB
	batch *pebble.Batch
	known map[mail.ID]bool // messages that something names
	told  map[mail.ID]bool // what was reported
}

// note notes which messages something in db names.
func (c *copier) note(db *pebble.DB) error {
	for _, table := range []byte{tableMessage, tableContent, tableDelivery, tableFile, tableSchedule, tableState} {
		_, err := scanTable(db, table, func(it *pebble.Iterator) error {
			var id mail.ID
			if k, err := tailOf(it.Key()); err == nil && (table == tableSchedule || table == tableState) {
				id = k.Message
			} else {
				copy(id[:], it.Key()[1:])
			}
			c.known[id] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) set(key, value []byte) { _ = c.batch.Set(key, value, nil) } // in memory

func (c *copier) flush(least int) error {
	if c.batch.Len() < least {
		return nil
	}
	err := c.to.Apply(c.batch, pebble.NoSync)
	c.batch = c.to.NewBatch()
	return err
}

// run copies what iterators reach, then what is left out by its id.
func (c *copier) run() error {
	var lost []stretch
	for _, table := range []byte{tableMessage, tableContent, tableDelivery, tableFile, tableMeta, tableDamaged} {
		gaps, err := scanTable(c.from, table, c.copy)
		if err != nil {
			return err
		}
		lost = append(lost, gaps...)
	}
	if len(lost) == 0 {
		return nil
	}
	if err := errors.Join(c.flush(0), c.note(c.to), c.note(c.from)); err != nil {
		return err
	}
	for _, gap := range lost {
		if err := c.pick(gap); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) copy(it *pebble.Iterator) error {
	value, err := it.ValueAndErr()
	if err == nil {
		c.set(it.Key(), value)
		err = c.flush(rebuildBatch)
	}
	return err
}

// pick copies what can be read in a stretch when it is asked for by its id, and
// reports the rest.
func (c *copier) pick(gap stretch) error {
	table := gap.from[0]
	d := queue.Damage{Where: tableNames[table], What: firstLine(gap.err)}
	if table > tableFile {
		d.Remedy = "hold rules may be gone: `postrider queue rule list` shows those in force"
		return c.s.report(d)
	}
	d.Remedy = remedyTable
	_ = c.s.report(d)
	for _, id := range c.idsIn(gap) {
		err := c.pickOne(table, id)
		if isDamage(err) {
			if c.told[id] {
				continue
			}
			c.told[id] = true
			err = c.s.report(queue.Damage{Message: id, Where: tableNames[table], What: firstLine(err), Remedy: remedyRecord})
		}
		if err == nil {
			err = c.flush(rebuildBatch)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) pickOne(table byte, id mail.ID) error {
	key := appendIDKey(nil, table, id)
	if table == tableDelivery {
		return scanKeys(c.from, key, upperBound(key), c.copy)
	}
	value, err := get(c.from, key)
	if errors.Is(err, queue.ErrNotFound) {
		return nil // it has nothing in this table
	}
	if err == nil {
		c.set(key, value)
	}
	return err
}

// idsIn returns the known messages that may have something in a stretch. What was
// copied before it must not be copied again where keys are written once, see
// writer.deleteOnce.
func (c *copier) idsIn(gap stretch) (ids []mail.ID) {
	from := gap.from
	if from[0] == tableDelivery { // a message has several, some of them in the stretch
		from = from[:min(len(from), 1+len(mail.ID{}))]
	}
	for id := range c.known {
		key := appendIDKey(nil, gap.from[0], id)
		if bytes.Compare(key, from) >= 0 && bytes.Compare(key, gap.to) < 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, mail.ID.Compare)
	return ids
}
