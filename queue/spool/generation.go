package spool

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/queue"
)

// generation is one life of the engine, from its opening to the first write
// error that it could not survive.
type generation struct {
	db    *pebble.DB
	fence *fence
	// started: it is in use, and its failure is news.
	started atomic.Bool
}

// Pauses between attempts to open the next generation.
const (
	reopenFirst = 10 * time.Millisecond
	reopenMost  = 2 * time.Second
)

// openGeneration opens the engine on what is durable. One with damaged tables is
// made anew first. That is tried once: it may lack the space for it.
func (s *Spool) openGeneration() (*generation, error) {
	g, err := s.tryGeneration()
	if s.renewed.Load() || !errors.Is(err, errRotten) {
		return g, err
	}
	s.renewed.Store(true)
	s.log.Error("tables of the queue are damaged; it is made anew with what can be read", "event", "queue_damaged", "err", firstLine(err))
	if err := s.renew(); err != nil {
		s.log.Error("the engine could not be made anew; it goes on as it is", "event", "queue_damaged", "err", err)
	}
	return s.tryGeneration()
}

func (s *Spool) tryGeneration() (*generation, error) {
	// Where a renewal failed in its last step Pebble would begin an empty queue.
	if err := s.finishRenewal(); err != nil {
		return nil, wrap("putting the new engine in its place", err)
	}
	g := new(generation)
	f := newFence(s.fs, s.reserve.release, func(err error) {
		if g.started.Load() {
			s.lost(err)
		}
	})
	log := newEngineLog(s.log, f)
	log.compactions.damaged = func(err error) { s.rot(g, err) }
	db, err := s.openEngine(f, log)
	if failed := f.failure(); failed != nil {
		if err == nil {
			_ = db.Close() // behind the fence it has nothing to say
		}
		return nil, wrap("opening the queue engine", failed)
	}
	if err != nil {
		return nil, wrap("opening the queue engine", err)
	}
	g.db, g.fence = db, f
	if err := s.prepare(g); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

// prepare checks the format, takes back what the generation before refused but
// may have written, repeats what it did but may have lost, and counts.
func (s *Spool) prepare(g *generation) error {
	if s.renewNext.Swap(false) && !s.renewed.Load() {
		return errRotten
	}
	state := s.examine(g)
	if errors.Is(state, errRotten) && s.renewed.Load() {
		state = errTangled // the best that can be done
	}
	if state != nil && !errors.Is(state, errTangled) {
		return wrap("looking at the queue", state)
	}
	if err := s.checkFormat(g); err != nil {
		return err
	}
	if err := s.takeBack(g); err != nil {
		return err
	}
	if err := s.dropDoubtful(g); err != nil {
		return err
	}
	if err := s.redo(g); err != nil {
		return err
	}
	by, err := s.count(g, state)
	if err != nil {
		return err
	}
	s.tally.reset(by)
	s.live.reset()
	return nil
}

// count reads the counters, or makes them anew if need be.
func (s *Spool) count(g *generation, state error) (map[counter]counts, error) {
	by, nothing, err := loadCounts(g.db)
	switch {
	case err == nil && state == nil:
		return by, s.prune(g, nothing)
	case err != nil && !isDamage(err) && !undecodable(err):
		return nil, wrap("reading the counters", err)
	}
	s.log.Warn("making the schedule and the counters anew from what is stored", "event", "queue_rebuild")
	return s.rebuild(g)
}

// close closes the engine; behind a closed fence its complaints mean nothing.
func (g *generation) close() error {
	err := g.db.Close()
	if g.fence.failure() != nil {
		return nil
	}
	return err
}

// checkFormat writes the format version into a new spool and refuses one that
// this program does not know. A new engine's first log is in an old format, which
// doesn't tell damage from where a crash has cut it short: it is ended here.
func (s *Spool) checkFormat(g *generation) error {
	value, closer, err := g.db.Get([]byte{tableFormat})
	if errors.Is(err, pebble.ErrNotFound) {
		b := g.db.NewBatch()
		defer b.Close()
		_ = b.Set([]byte{tableFormat}, []byte{formatVersion}, nil)
		if err := g.apply(b); err != nil {
			return err
		}
		return wrap("beginning a log", g.db.Flush())
	}
	if isDamage(err) {
		// No other version was ever released, and the records carry their own.
		_ = s.damaged(queue.Damage{Where: "format version", What: err.Error(), Remedy: "nothing is lost"})
		return nil
	}
	if err != nil {
		return wrap("reading the format version", err)
	}
	defer closer.Close()
	if len(value) != 1 || value[0] != formatVersion {
		return fmt.Errorf("the spool has format %x, this program knows %d", value, formatVersion)
	}
	return nil
}

// apply commits b, synced. It succeeds only if the fence is open afterwards.
func (g *generation) apply(b *pebble.Batch) error {
	err := g.fence.failure()
	if err == nil {
		if err = g.db.Apply(b, pebble.Sync); err == nil {
			err = g.fence.failure()
		}
	}
	return wrap("writing the queue", err)
}

// use returns the current generation, which stays open until s.mu.RUnlock is
// called. After an error there is nothing to unlock. Calls must not be nested.
func (s *Spool) use() (*generation, error) {
	s.mu.RLock()
	g, err := s.current, s.down
	if g != nil {
		err = wrap("the queue's disk", g.fence.failure())
	}
	if err != nil {
		s.mu.RUnlock()
		return nil, err
	}
	return g, nil
}

// start makes g the generation in use.
func (s *Spool) start(g *generation) {
	s.mu.Lock()
	s.current, s.down = g, nil
	s.starts.Add(1)
	s.mu.Unlock()
	g.started.Store(true)
	if err := g.fence.failure(); err != nil {
		s.lost(err) // it happened before anybody listened
	}
}

// Reopened implements queue.Store.
func (s *Spool) Reopened() int64 { return s.starts.Load() - 1 }

// lost is called when a generation that was in use can't go on, possibly from
// within Pebble. Everything else happens in a goroutine of its own.
func (s *Spool) lost(err error) {
	s.log.Error("the queue's disk fails; nothing is accepted until it works again", "event", "queue_disk_failed", "err", err)
	select {
	case s.failed <- struct{}{}:
	default:
	}
}

// tidyEvery is how long the content file of an ended message may stay where no
// commit comes that is synced anyway.
const tidyEvery = 30 * time.Second

// keep waits for generations to fail and opens the next, and tidies up. It ends
// with Close.
func (s *Spool) keep() {
	defer close(s.kept)
	every := time.NewTicker(tidyEvery)
	defer every.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-every.C:
			s.tidy()
		case <-s.failed:
			s.reopen()
		}
	}
}

// reopen replaces a failed generation, however long the disk takes to recover.
// Until then every call returns an error.
func (s *Spool) reopen() {
	s.mu.Lock()
	old := s.current
	if old == nil || old.fence.failure() == nil {
		s.mu.Unlock()
		return // told twice
	}
	s.current, s.down = nil, wrap("the queue's disk", old.fence.failure())
	_ = old.close()
	s.mu.Unlock()

	for pause := reopenFirst; ; pause = min(2*pause, reopenMost) {
		select {
		case <-s.closing:
			return
		case <-time.After(pause):
		}
		g, err := s.openGeneration()
		if err != nil {
			s.mu.Lock()
			s.down = err
			s.mu.Unlock()
			continue
		}
		s.start(g)
		s.log.Info("the queue's disk works again", "event", "queue_disk_recovered")
		return
	}
}

// doubt deals with a change that failed in a way that may have left it on the
// disk. If all it does is to create messages, their senders were told to come
// again, and the next generation takes them back before anybody sees them. If it
// does more the next generation looks which of its content files it needs.
func (s *Spool) doubt(c *queue.Change) {
	for i := range c.Create {
		// Its file is not the stage's to remove: a message may have it.
		c.Create[i].Content.(*stage).committed()
	}
	s.refusedMu.Lock()
	defer s.refusedMu.Unlock()
	list := &s.refused
	if len(c.Put) > 0 || len(c.Remove) > 0 || len(c.Meta) > 0 {
		list = &s.doubtful
	}
	for i := range c.Create {
		*list = append(*list, c.Create[i].Envelope.ID)
	}
}

// dropDoubtful removes content files of messages that were not created after all.
func (s *Spool) dropDoubtful(g *generation) error {
	s.refusedMu.Lock()
	defer s.refusedMu.Unlock()
	for _, id := range s.doubtful {
		_, err := get(g.db, appendIDKey(nil, tableFile, id))
		switch {
		case errors.Is(err, queue.ErrNotFound):
			s.unlink(id)
		case err != nil && !isDamage(err):
			return wrap("looking at what was in doubt", err)
		}
	}
	s.doubtful = nil
	return nil
}

func (s *Spool) takeBack(g *generation) error {
	s.refusedMu.Lock()
	refused := s.refused
	s.refusedMu.Unlock()
	if len(refused) == 0 {
		return nil
	}
	w := s.newWriter(g)
	defer w.free()
	for _, id := range refused {
		err := w.erase(id)
		switch {
		case err == nil || errors.Is(err, queue.ErrNotFound):
		case isDamage(err): // what can't be read is not delivered either
			_ = s.damaged(queue.Damage{Message: id, Where: "records", What: firstLine(err), Remedy: remedyRenewal})
		default:
			return err
		}
	}
	w.count()
	if err := g.apply(w.batch); err != nil {
		return err
	}
	for _, id := range refused {
		s.unlink(id) // its file may have come before it
	}
	s.refusedMu.Lock()
	defer s.refusedMu.Unlock()
	s.refused = s.refused[len(refused):]
	return nil
}

// going returns a check for calls that take long: an error once ctx is done, the
// spool is to close, or its disk fails. Whoever replaces a generation waits for
// them.
func (s *Spool) going(ctx context.Context, g *generation) func() error {
	return func() error {
		select {
		case <-s.closing:
			return errClosed
		default:
		}
		if err := g.fence.failure(); err != nil {
			return err
		}
		return ctx.Err()
	}
}
