package spool

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

var _ queue.Store = (*Spool)(nil)

// Names in a spool's directory, see the package comment.
const (
	dbName      = "db"
	contentName = "content"
	damagedName = "damaged"
	reserveName = "reserve"
	rebuildName = "rebuild"
)

// Spool is an open spool. Its methods may be called concurrently.
type Spool struct {
	dir  string
	fs   vfs.FS
	opts Options
	log  *slog.Logger
	lock io.Closer

	reserve reserve
	tally   tally
	live    liveMessages
	journal journal
	renames sharedSync // of the content directory
	damages damages

	// mu guards current and down. It is held for reading while a generation
	// is used, and for writing while one is replaced.
	mu      sync.RWMutex
	current *generation
	down    error // why there is none

	// starts counts the generations that were in use.
	starts atomic.Int64
	// renewNext says that the next generation has to make the engine anew, renewed
	// that this was tried.
	renewNext, renewed atomic.Bool
	// offline: nobody else is at work, nor may be, see Inspect.
	offline bool

	// refusedMu guards refused and doubtful, see doubt.
	refusedMu sync.Mutex
	refused   []mail.ID
	doubtful  []mail.ID

	// failed wakes keep, which ends when closing is closed and then closes kept.
	failed  chan struct{}
	closing chan struct{}
	kept    chan struct{}
	once    sync.Once
	closed  error
}

// Open opens the spool in dir, making it if there is none, and brings it in
// order after a crash. If another process has it open the error is a
// *LockedError. Close must be called in the end.
func Open(dir string, o Options) (*Spool, error) {
	o = o.withDefaults()
	s := &Spool{
		dir: dir, fs: o.FS, opts: o, log: o.Logger,
		down:    errClosed,
		failed:  make(chan struct{}, 1),
		closing: make(chan struct{}),
		kept:    make(chan struct{}),
	}
	s.reserve = reserve{fs: s.fs, path: s.fs.PathJoin(dir, reserveName), size: o.Reserve, log: s.log, now: time.Now}
	if err := s.fs.MkdirAll(dir, 0o700); err != nil {
		return nil, wrap("making the spool", err)
	}
	var err error
	if s.lock, err = acquire(s.fs, dir); err != nil {
		return nil, err
	}
	if err = s.finishRenewal(); err == nil { // an empty db would pass for the old engine
		err = s.makeDirectories()
	}
	if err != nil {
		return nil, errors.Join(wrap("making the spool", err), s.lock.Close())
	}
	s.reserve.hold()
	g, err := s.openGeneration()
	if err != nil {
		return nil, errors.Join(err, s.lock.Close())
	}
	if err := s.sweep(g); err != nil {
		return nil, errors.Join(err, g.close(), s.lock.Close())
	}
	s.start(g)
	go s.keep() // ended and awaited by Close
	return s, nil
}

// makeDirectories makes what is missing and syncs the directory that names it,
// so that a content file synced later can't lose its way.
func (s *Spool) makeDirectories() error {
	for _, name := range []string{dbName, contentName, damagedName} {
		if err := s.fs.MkdirAll(s.fs.PathJoin(s.dir, name), 0o700); err != nil {
			return err
		}
	}
	if err := syncDir(s.fs, s.dir); err != nil {
		return err
	}
	return syncDir(s.fs, s.fs.PathDir(s.dir))
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close waits for calls that run, syncs what was not synced and gives up the
// lock. Calls that come later return an error. It may be called again.
func (s *Spool) Close() error {
	s.once.Do(func() {
		close(s.closing)
		<-s.kept
		s.mu.Lock()
		g := s.current
		s.current, s.down = nil, errClosed
		s.mu.Unlock()
		if g != nil {
			mark := s.journal.mark()
			if s.closed = g.syncLog(); s.closed == nil && g.fence.failure() == nil {
				s.removed(mark)
			}
			s.closed = errors.Join(s.closed, g.close())
		}
		s.closed = errors.Join(s.closed, s.lock.Close())
	})
	return s.closed
}

// syncLog makes durable what was committed without a sync.
func (g *generation) syncLog() error {
	if g.fence.failure() != nil {
		return nil
	}
	return wrap("syncing the queue", errors.Join(g.db.LogData(nil, syncOptions), g.fence.failure()))
}

// Free returns the octets that are free on the spool's disk. It is an error
// while the disk can't be written to, and ErrNoSpace while new messages are refused
// since it is full.
func (s *Spool) Free() (uint64, error) {
	if _, err := s.use(); err != nil {
		return 0, err
	}
	defer s.mu.RUnlock()
	if err := s.reserve.check(); err != nil {
		return 0, err
	}
	usage, err := s.fs.GetDiskUsage(s.dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return 1 << 62, nil
	}
	return usage.AvailBytes, wrap("asking for free space", err)
}

// Meta returns a value set by Change.Meta, nil if there is none.
func (s *Spool) Meta(_ context.Context, key string) ([]byte, error) {
	g, err := s.use()
	if err != nil {
		return nil, err
	}
	defer s.mu.RUnlock()
	value, err := get(g.db, appendMetaKey(nil, key))
	if errors.Is(err, queue.ErrNotFound) {
		return nil, nil
	}
	return value, wrap("reading "+key, err)
}
