package spool

import (
	"bytes"
	"errors"
	"slices"
	"sync"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// journal remembers what was committed without a sync since the last sync, so
// that it can be done again if the disk fails and the process goes on with a
// generation that has lost it. Only a power cut or a crash of the system may
// lose such changes, not a moment without space.
type journal struct {
	mu     sync.Mutex
	seq    uint64 // of the last step
	steps  []redo
	octets int64 // of content files that wait to be removed
}

// redo is one delivery or value of a change. Doing it again is harmless.
type redo struct {
	seq    uint64
	key    queue.DeliveryKey
	record []byte // a Put's encoded delivery; nil for a Remove
	file   int64  // size of the content file that goes with it; 0 for none
	meta   string // the name of a Meta value, then in record; empty otherwise
}

// journalSize is the most steps that wait for a sync; the next commit is then
// synced. It also bounds what a power cut undoes. journalOctets bounds the content
// files of delivered messages that are still there.
const (
	journalSize   = 1024
	journalOctets = 32 << 20
)

func (j *journal) full() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.steps) >= journalSize || j.octets >= journalOctets
}

// hasFiles reports whether content files wait to be removed.
func (j *journal) hasFiles() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.octets > 0
}

// mark returns the last step; all up to it are in the log.
func (j *journal) mark() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.seq
}

// synced forgets the steps up to mark. It returns the messages whose content
// files can go, since nothing brings them back.
func (j *journal) synced(mark uint64) (gone []mail.ID) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for ; n < len(j.steps) && j.steps[n].seq <= mark; n++ {
		if s := &j.steps[n]; s.file > 0 {
			gone = append(gone, s.key.Message)
			j.octets -= s.file
		}
	}
	j.steps = append(j.steps[:0], j.steps[n:]...)
	return gone
}

// note remembers a change that is in the log, but not synced, and the content files
// to remove when it is.
func (j *journal) note(c *queue.Change, files []contentFile) {
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
		r := redo{key: d.DeliveryKey}
		if i := slices.IndexFunc(files, func(f contentFile) bool { return f.id == d.Message }); i >= 0 {
			r.file = files[i].size
			files = slices.Delete(files, i, i+1) // a message may have several deliveries in c
			j.octets += r.file
		}
		add(r)
	}
	for name, value := range c.Meta {
		add(redo{meta: name, record: bytes.Clone(value)})
	}
}

// redo does again what the generation before may have lost. What is about a record
// that can't be read any more is left out, with its content file. Nobody else is
// at work yet.
func (s *Spool) redo(g *generation) error {
	j := &s.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.steps {
		r := &j.steps[i]
		err := s.redoStep(g, r)
		switch {
		case err == nil || errors.Is(err, queue.ErrNotFound):
		case isDamage(err):
			r.file = 0
			_ = s.damaged(queue.Damage{Message: r.key.Message, Where: "records", What: firstLine(err), Remedy: remedyRenewal})
		default:
			return wrap("repeating unsynced changes", err)
		}
	}
	for i := range j.steps {
		if r := &j.steps[i]; r.file > 0 {
			s.unlink(r.key.Message)
		}
	}
	j.steps, j.octets = nil, 0
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
