package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// damages remember what was found unreadable since Open.
type damages struct {
	mu   sync.Mutex
	list []queue.Damage
	seen map[queue.Damage]bool
}

// What an operator can do about a message.
const (
	remedyRenewal = "the relay makes the engine anew with what can be read when it starts, or meets this; messages listed here are dead or gone then"
	remedyTable   = "messages that nothing else names may be missing; what can be read goes on"
	remedyRecord  = "it can't be delivered: ask its sender to send it again"
	remedyBereft  = "it is dead: `postrider queue retry` of its id may deliver it twice, `postrider queue delete` not at all"
	remedyAside   = "its sender has to send it again; `postrider queue delete` of its id drops what is left of it"
	remedyContent = "it can't be delivered: ask its sender to send it again, and drop it with `postrider queue delete`"
)

// asideTable is where records are moved that can't be decoded.
var asideTable = fmt.Sprintf("table %02x", tableDamaged)

// maxDamages is how many are remembered; all are logged.
const maxDamages = 1000

// Damaged returns what was found unreadable since Open.
func (s *Spool) Damaged() []queue.Damage {
	s.damages.mu.Lock()
	defer s.damages.mu.Unlock()
	return slices.Clone(s.damages.list)
}

// damaged logs and remembers d, once, and returns it as an error.
func (s *Spool) damaged(d queue.Damage) error {
	s.damages.mu.Lock()
	defer s.damages.mu.Unlock()
	if !s.damages.seen[d] {
		s.log.Error("something in the queue can't be read", "event", "queue_damaged",
			"id", d.Message, "where", d.Where, "what", d.What, "moved_to", d.MovedTo, "remedy", d.Remedy)
		if len(s.damages.list) < maxDamages {
			if s.damages.seen == nil {
				s.damages.seen = make(map[queue.Damage]bool)
			}
			s.damages.seen[d] = true
			s.damages.list = append(s.damages.list, d)
		}
	}
	return fmt.Errorf("%w: %s: %s", queue.ErrDamaged, d.Where, d.What)
}

// report is damaged where going on is all there is to do.
func (s *Spool) report(d queue.Damage) error {
	_ = s.damaged(d)
	return nil
}

// setAside moves the records of a message that can't be decoded out of the way,
// if cause says so, and returns cause. What lies in a table that can't be read can't
// be moved: the engine is made anew without it.
func (s *Spool) setAside(g *generation, id mail.ID, cause error) error {
	if !errors.Is(cause, queue.ErrDamaged) {
		return cause
	}
	d := queue.Damage{Message: id, Where: "records", What: firstLine(cause), Remedy: remedyRecord}
	if undecodable(cause) {
		s.live.lock(^stripeSet(0))
		moved, err := s.moveAside(g, id)
		s.live.unlock(^stripeSet(0))
		if err != nil {
			return errors.Join(cause, err)
		}
		if !moved {
			return cause // another call was faster
		}
		d.MovedTo = asideTable
	} else {
		s.rot(g, cause)
	}
	_ = s.damaged(d)
	return cause
}

// moveAside moves what is stored under id to tableDamaged, and removes all its places.
// It reads the whole schedule: damage is rare, and which places the message had is what
// can't be read.
func (s *Spool) moveAside(g *generation, id mail.ID) (moved bool, err error) {
	w := s.newWriter(g)
	defer w.free()
	if moved, err = w.moveRecords(id); err != nil || !moved {
		return false, err
	}
	for _, table := range []byte{tableSchedule, tableState} {
		err := scan(g.db, []byte{table}, func(key, _ []byte) error {
			if k, err := tailOf(key); err == nil && k.Message == id {
				w.delete(key)
			}
			return nil
		})
		if err != nil {
			return false, wrap("moving damage aside", err)
		}
	}
	by, err := recount(g.db, id)
	if err != nil {
		return false, wrap("counting again", err)
	}
	w.resetCounts(by)
	if err := g.apply(w.batch); err != nil {
		return false, err
	}
	s.live.drop(id)
	s.tally.reset(by)
	return true, nil
}

// moveRecords moves what is stored under id to tableDamaged.
func (w *writer) moveRecords(id mail.ID) (moved bool, err error) {
	for _, prefix := range [][]byte{
		appendIDKey(nil, tableMessage, id), appendIDKey(nil, tableContent, id),
		appendIDKey(nil, tableDelivery, id), appendIDKey(nil, tableFile, id),
	} {
		err := scan(w.g.db, prefix, func(key, value []byte) error {
			moved = true
			w.set(appendDamagedKey(nil, key), value)
			if key[0] == tableFile {
				w.set(orphansKey, nil) // its content file has no name any more
			}
			if key[0] == tableMessage || key[0] == tableContent {
				w.deleteOnce(key)
			} else {
				w.delete(key)
			}
			return nil
		})
		if err != nil {
			return false, wrap("moving damage aside", err)
		}
	}
	return moved, nil
}

// Forget removes what was moved aside of a message, for an operator who is done with
// it, and reports whether there was anything.
func (s *Spool) Forget(_ context.Context, id mail.ID) (forgotten bool, err error) {
	g, err := s.use()
	if err != nil {
		return false, err
	}
	defer s.mu.RUnlock()
	b := g.db.NewBatch()
	defer b.Close()
	file := false
	err = scanAside(g.db, id, func(key []byte) error {
		forgotten, file = true, file || key[1] == tableFile
		return b.Delete(key, nil)
	})
	if err != nil {
		return false, wrap("looking for what was moved aside", err)
	}
	if forgotten {
		if err := g.apply(b); err != nil {
			return false, err
		}
	}
	if file {
		s.unlink(id)
	}
	err = s.fs.Remove(s.asidePath(id))
	if isNotExist(err) {
		return forgotten, nil
	}
	return true, wrap("removing what was moved aside", err)
}

// isAside reports whether something of a message lies aside.
func (s *Spool) isAside(g *generation, id mail.ID) bool {
	_, err := s.fs.Stat(s.asidePath(id))
	found := err == nil
	_ = scanAside(g.db, id, func([]byte) error { // what can't be read is shown by Verify
		found = true
		return errStop
	})
	return found
}

// asidePath is where the content file of a message is moved.
func (s *Spool) asidePath(id mail.ID) string {
	return s.fs.PathJoin(s.dir, damagedName, id.String())
}

// scanAside calls fn for each key of a message in tableDamaged.
func scanAside(r pebble.Reader, id mail.ID, fn func(key []byte) error) error {
	for _, table := range []byte{tableMessage, tableContent, tableDelivery, tableFile} {
		prefix := appendDamagedKey(nil, appendIDKey(nil, table, id))
		if err := scan(r, prefix, func(key, _ []byte) error { return fn(key) }); err != nil {
			return err
		}
	}
	return nil
}

// tailOf reads the delivery at the end of a key of the schedule or of the index
// of states.
func tailOf(key []byte) (queue.DeliveryKey, error) {
	return parseDeliveryTail(key[max(0, len(key)-len(mail.ID{})-4):])
}
