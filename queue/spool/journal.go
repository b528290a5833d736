package spool

import (
	"bytes"
	"errors"
	"sync"

	"github.com/postrider/postrider/queue"
)

// journal remembers what was committed without a sync since the last sync, so
// that it can be done again if the disk fails and the process goes on with a
// generation that has lost it. Only a power cut or a crash of the system may
// lose such changes, not a moment without space.
type journal struct {
	mu    sync.Mutex
	seq   uint64 // of the last step
	steps []redo
}

// redo is one delivery or value of a change. Doing it again is harmless.
type redo struct {
	seq    uint64
	key    queue.DeliveryKey
	record []byte // a Put's encoded delivery; nil for a Remove
	meta   string // the name of a Meta value, then in record; empty otherwise
}

// journalSize is the most steps that wait for a sync; the next commit is then
// synced. It also bounds what a power cut undoes.
const journalSize = 1024

func (j *journal) full() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.steps) >= journalSize
}

// mark returns the last step; all up to it are in the log.
func (j *journal) mark() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seq
}

// synced forgets the steps up to mark.
func (j *journal) synced(mark uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for n < len(j.steps) && j.steps[n].seq <= mark {
		n++
	}
	j.steps = append(j.steps[:0], j.steps[n:]...)
}

// note remembers a change that is in the log, but not synced.
func (j *journal) note(c *queue.Change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	add := func(r redo) {
		j.seq++
		r.seq = j.seq
		j.steps = append(j.steps, r)
	}
	for i := range c.Put {
		add(redo{key: c.Put[i].New.DeliveryKey, record: appendDelivery(nil, c.Put[i].New)})
	}
	for _, d := range c.Remove {
		add(redo{key: d.DeliveryKey})
	}
	for name, value := range c.Meta {
		add(redo{meta: name, record: bytes.Clone(value)})
	}
}

// redo does again what the generation before may have lost. Nobody else is at
// work yet.
func (s *Spool) redo(g *generation) error {
	j := &s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.steps {
		if err := s.redoStep(g, &j.steps[i]); err != nil && !errors.Is(err, queue.ErrNotFound) {
			return wrap("repeating unsynced changes", err)
		}
	}
	j.steps = nil
	return nil
}

func (s *Spool) redoStep(g *generation, r *redo) error {
	w := s.newWriter(g)
	defer w.free()
	switch {
	case r.meta != "":
		w.meta(r.meta, r.record)
	case r.record == nil:
		if err := w.remove(r.key); err != nil {
			return err
		}
	default:
		d, err := decodeDelivery(r.record, r.key)
		if err != nil {
			return err
		}
		if err := w.put(&queue.Move{New: d}); err != nil {
			return err
		}
	}
	w.count()
	return g.apply(w.batch)
}
