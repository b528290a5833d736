package spool

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/queue"
)

var syncOptions = pebble.Sync

// Commit does all of c or nothing. A change that only creates messages is refused
// with ErrNoSpace while the disk is full; others are still tried, since
// finishing deliveries is what frees space, though some have a report. A Put or Remove of a delivery that
// is not there is ErrNotFound, and nothing of c is done. c may name a delivery
// once.
//
// If the disk fails with c on its way, c may be on it in whole nevertheless. A
// change that only creates is then taken back before the spool answers again.
// Any other is either done or not, and the caller, who tries again, may find
// that a delivery he wants to end is not there any more. Taking back a report
// whose failed delivery has gone would lose both.
func (s *Spool) Commit(ctx context.Context, c *queue.Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(c.Create) > 0 && len(c.Put)+len(c.Remove) == 0 {
		if err := s.reserve.check(); err != nil {
			return err
		}
	}
	if err := s.publish(c); err != nil {
		return wrap("storing content", err)
	}
	g, err := s.use()
	if err != nil {
		s.unpublish(c)
		return err
	}
	defer s.mu.RUnlock()
	return s.commit(g, c)
}

func (s *Spool) commit(g *generation, c *queue.Change) error {
	w := s.newWriter(g)
	defer w.free()
	w.live = &s.live
	w.sync = c.Sync
	w.lock(c)
	if err := w.change(c); err != nil {
		w.unlock()
		s.unpublish(c)
		return err
	}
	if !w.sync {
		w.sync = s.journal.full()
	}
	mark := s.journal.mark()
	err := w.apply()
	w.remember()
	s.tally.add(w.deltas)
	w.unlock()
	if err == nil {
		err = w.wait()
	}
	if err = errors.Join(err, g.fence.failure()); err != nil {
		s.doubt(c)
		return wrap("writing the queue", err)
	}
	if w.sync {
		s.removed(mark)
		for _, f := range w.files {
			s.unlink(f.id)
		}
	} else {
		s.journal.note(c, w.files)
	}
	for i := range c.Create {
		c.Create[i].Content.(*stage).committed()
	}
	return nil
}

// removed unlinks the content files of messages whose end is durable now: those of
// the journal's steps up to mark.
func (s *Spool) removed(mark uint64) {
	for _, id := range s.journal.synced(mark) {
		s.unlink(id)
	}
}

// tidy removes the content files that wait for a sync.
func (s *Spool) tidy() {
	if !s.journal.hasFiles() {
		return
	}
	g, err := s.use()
	if err != nil {
		return // what is lost with the generation is done again in the next
	}
	defer s.mu.RUnlock()
	mark := s.journal.mark()
	if g.syncLog() == nil && g.fence.failure() == nil {
		s.removed(mark)
	}
}

// publish gives the content files of c their names and syncs them. The
// directory is synced once for all of them, and for those of others who wait.
func (s *Spool) publish(c *queue.Change) error {
	files := false
	for i := range c.Create {
		st, ok := c.Create[i].Content.(*stage)
		if !ok || st.spool != s {
			return errors.New("the content was not staged here")
		}
		file, err := st.publish(c.Create[i].Envelope.ID)
		if err != nil {
			s.unpublish(c)
			return err
		}
		files = files || file
	}
	if !files {
		return nil
	}
	if err := s.renames.sync(func() error { return syncDir(s.fs, s.fs.PathJoin(s.dir, contentName)) }); err != nil {
		s.unpublish(c)
		return err
	}
	return nil
}

// unpublish removes the content files of a change that will not happen.
func (s *Spool) unpublish(c *queue.Change) {
	for i := range c.Create {
		if st, ok := c.Create[i].Content.(*stage); ok {
			st.Discard()
		}
	}
}

func (w *writer) lock(c *queue.Change) {
	for i := range c.Create {
		_, bit := w.live.stripe(c.Create[i].Envelope.ID)
		w.locked |= bit
	}
	for i := range c.Put {
		_, bit := w.live.stripe(c.Put[i].New.Message)
		w.locked |= bit
	}
	for _, d := range c.Remove {
		_, bit := w.live.stripe(d.Message)
		w.locked |= bit
	}
	w.live.lock(w.locked)
}

func (w *writer) unlock() {
	w.live.unlock(w.locked)
	w.locked = 0
}

// change puts all of c into the batch.
func (w *writer) change(c *queue.Change) error {
	for i := range c.Create {
		if err := w.create(&c.Create[i]); err != nil {
			return fmt.Errorf("creating %s: %w", c.Create[i].Envelope.ID, err)
		}
	}
	for i := range c.Put {
		if err := w.put(&c.Put[i]); err != nil {
			return fmt.Errorf("changing %s/%d: %w", c.Put[i].New.Message, c.Put[i].New.Number, err)
		}
	}
	for _, d := range c.Remove {
		if err := w.remove(d.DeliveryKey); err != nil {
			return fmt.Errorf("ending %s/%d: %w", d.Message, d.Number, err)
		}
	}
	for name, value := range c.Meta {
		w.meta(name, value)
	}
	w.count()
	return nil
}

// apply puts the batch into the log and makes it visible; wait waits for its
// sync. Between them other commits of the same messages may follow. Pebble calls
// ApplyNoSyncWait experimental; what is used here is only that batches are in
// the log in the order in which it returns.
func (w *writer) apply() error {
	if !w.sync {
		return w.g.db.Apply(w.batch, pebble.NoSync)
	}
	if w.batch.Empty() {
		_ = w.batch.LogData(nil, nil) // a sync of nothing syncs what came before
	}
	return w.g.db.ApplyNoSyncWait(w.batch, syncOptions)
}

func (w *writer) wait() error {
	if !w.sync {
		return nil
	}
	return w.batch.SyncWait()
}
