package spool

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/queue"
)

// Inspect is Verify for a spool that no process has open. Nothing is written but who
// holds the lock; what Open would mend or move is only reported.
func Inspect(ctx context.Context, dir string, o Options, report func(queue.Damage), progress func(done, total int64)) error {
	o = o.withDefaults()
	fs := &readOnly{FS: o.FS, cuts: make(map[string]int64)}
	lock, err := fs.FS.Lock(fs.PathJoin(dir, lockName))
	switch {
	case err == nil:
		defer lock.Close()
		writeHolder(fs.FS, dir)
	case isLocked(err):
		return readHolder(fs, dir)
	case !errors.Is(err, syscall.EROFS): // nobody can have it open for writing there
		return wrap("locking the spool", err)
	}
	s := &Spool{dir: dir, fs: fs, opts: o, log: o.Logger, closing: make(chan struct{}), offline: true}
	g, err := s.openInspected(fs, report)
	if err != nil || g == nil {
		return err
	}
	defer g.db.Close()
	if by, _, err := loadCounts(g.db); err == nil {
		s.tally.reset(by)
	}
	return s.verify(s.going(ctx, g), g, report, progress)
}

// openInspected opens the engine to be read. What keeps it from opening is
// reported; if nothing helps there is no generation.
func (s *Spool) openInspected(fs *readOnly, report func(queue.Damage)) (*generation, error) {
	unusable := func(err error) (*generation, error) {
		var u *UnusableError
		if !errors.As(err, &u) {
			return nil, err
		}
		report(queue.Damage{Where: u.File, What: u.What, Remedy: u.remedy()})
		return nil, nil
	}
	if err := s.checkManifest(); err != nil {
		return unusable(err)
	}
	for {
		c, err := s.damagedLog()
		if err != nil {
			return nil, wrap("reading the log", err)
		}
		if c == nil {
			break
		}
		fs.cuts[c.name] = c.at
		report(c.damage())
	}
	f := newFence(fs, func() bool { return false }, func(error) {})
	db, err := s.openReadOnly(f)
	if isDamage(err) {
		report(queue.Damage{Where: s.fs.PathJoin(s.dir, dbName), What: firstLine(err), Remedy: "the relay mends it when it starts, or says what to do"})
		return nil, nil
	}
	if err != nil {
		return nil, wrap("opening the queue engine", err)
	}
	return &generation{db: db, fence: f}, nil
}

// readOnly is a file system on which nothing is written. Some files are shown up to
// an offset only.
type readOnly struct {
	vfs.FS
	cuts map[string]int64 // by path
}

// Open implements vfs.FS.
func (r *readOnly) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := r.FS.Open(name, opts...)
	if at, cut := r.cuts[name]; cut && err == nil {
		return &headFile{File: f, Reader: io.LimitReader(f, at)}, nil
	}
	return f, err
}

// headFile is the beginning of a file that is read in order.
type headFile struct {
	vfs.File
	io.Reader
}

// Read implements io.Reader.
func (h *headFile) Read(p []byte) (int, error) { return h.Reader.Read(p) }

// Lock implements vfs.FS: the spool's lock is held, the engine needs none.
func (r *readOnly) Lock(string) (io.Closer, error) { return io.NopCloser(nil), nil }

// Create implements vfs.FS.
func (r *readOnly) Create(string, vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, syscall.EROFS
}

// OpenReadWrite implements vfs.FS.
func (r *readOnly) OpenReadWrite(string, vfs.DiskWriteCategory, ...vfs.OpenOption) (vfs.File, error) {
	return nil, syscall.EROFS
}

// ReuseForWrite implements vfs.FS.
func (r *readOnly) ReuseForWrite(string, string, vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, syscall.EROFS
}

// Link implements vfs.FS.
func (r *readOnly) Link(string, string) error { return syscall.EROFS }

// Rename implements vfs.FS.
func (r *readOnly) Rename(string, string) error { return syscall.EROFS }

// Remove implements vfs.FS.
func (r *readOnly) Remove(string) error { return syscall.EROFS }

// RemoveAll implements vfs.FS.
func (r *readOnly) RemoveAll(string) error { return syscall.EROFS }

// MkdirAll implements vfs.FS.
func (r *readOnly) MkdirAll(string, os.FileMode) error { return syscall.EROFS }

// Unwrap implements vfs.FS.
func (r *readOnly) Unwrap() vfs.FS { return r.FS }
