package queue

import (
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// Intervals between looks at the disk.
const (
	freeEvery  = time.Second     // how old the known free space may be
	probeEvery = 2 * time.Second // between trial commits while commits fail
)

// Refusals a client gets; the cause stands behind them.
var (
	errFull  = mail.Errorf(452, mail.EnhancedCode{4, 3, 1}, "insufficient system storage, try again later")
	errLocal = mail.Errorf(451, mail.EnhancedCode{4, 3, 0}, "local error, try again later")
)

// refuse returns the reply for a message that can't be stored.
func refuse(err error) error {
	var m *mail.Error
	switch {
	case errors.As(err, &m):
		return err
	case errors.Is(err, ErrNoSpace):
		return errFull.Because(err)
	}
	return errLocal.Because(err)
}

// space watches whether the store can take mail: its bounds, the free disk below
// it, and whether commits succeed. Nothing of it needs a restart to recover.
type space struct {
	store  Store
	log    *slog.Logger
	limits atomic.Pointer[config.Queue]
	staged atomic.Int64 // octets of content on the way in
	taken  atomic.Int64 // octets of content written since the disk was looked at

	failing atomic.Pointer[error] // the last commit's error; nil after success

	mu      sync.Mutex // guards the rest
	free    uint64
	freeErr error
	looked  time.Time
	probed  time.Time
}

// note takes the outcome of a commit. Success counts if the disk had part in it, and
// space: a store without any still does what creates no messages.
func (s *space) note(err error, c *Change) {
	switch {
	case err != nil:
		s.noteFailure(err)
	case c.Sync && s.failing.Load() != nil && s.takesMessages(c) && s.failing.Swap(nil) != nil:
		s.log.Info("the queue can store mail again")
	}
}

// takesMessages reports whether the store takes new messages, having taken c.
func (s *space) takesMessages(c *Change) bool {
	if len(c.Put)+len(c.Remove)+len(c.Meta) == 0 {
		return true
	}
	_, err := s.store.Free()
	return err == nil
}

func (s *space) noteFailure(err error) {
	if s.failing.Swap(&err) == nil {
		s.log.Error("the queue can't store mail", "err", err)
	}
}

// room returns an error if more octets are not to be taken.
func (s *space) room(more int64) error {
	limits := s.limits.Load()
	used := s.store.Used() + s.staged.Load() + more
	if limits.MaxBytes > 0 && used > int64(limits.MaxBytes) {
		return errFull.Because(errors.New("queue.max_bytes is reached"))
	}
	free, err := s.freeNow()
	if err != nil {
		return refuse(err)
	}
	if limits.MinFree > 0 && int64(min(free, math.MaxInt64))-s.taken.Load()-more < int64(limits.MinFree) {
		return errFull.Because(errors.New("less than queue.min_free is free on the disk"))
	}
	return nil
}

// write notes n octets of content that are on their way to the disk.
func (s *space) write(n int) {
	s.staged.Add(int64(n))
	s.taken.Add(int64(n))
}

// freeNow returns the free space, at most freeEvery old.
func (s *space) freeNow() (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looked.IsZero() || time.Since(s.looked) > freeEvery {
		s.taken.Store(0)
		s.free, s.freeErr = s.store.Free()
		s.looked = time.Now()
	}
	return s.free, s.freeErr
}

// mayProbe reports whether it is time for a trial commit.
func (s *space) mayProbe() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.probed) < probeEvery {
		return false
	}
	s.probed = time.Now()
	return true
}

// Ready returns nil if the queue can durably accept a message now: it runs, there
// is room, and the store's last commit succeeded or one tried now does.
func (q *Queue) Ready() error {
	if !q.accepting.Load() {
		return errStopped
	}
	if err := q.space.room(0); err != nil {
		return err
	}
	if q.space.failing.Load() != nil && q.space.mayProbe() {
		_ = q.probeStore() // its outcome is noted
	}
	if err := q.space.failing.Load(); err != nil {
		return *err
	}
	return nil
}

// probeStore makes a synced commit of something that matters to nobody.
func (q *Queue) probeStore() error {
	return q.commit(&Change{Meta: map[string][]byte{metaClock: q.clock.save()}, Sync: true})
}
