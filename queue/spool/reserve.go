package spool

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/queue"
)

// reserve is space on the disk that is given up when the disk is full, so that
// what is needed to finish deliveries, and thereby to free space, can still be
// written. As long as it is not back no new messages are taken.
type reserve struct {
	fs   vfs.FS
	path string
	size int64 // octets; none if it is not positive
	log  *slog.Logger
	now  func() time.Time

	// mu guards what follows.
	mu       sync.Mutex
	held     bool
	told     bool      // that it can't be taken
	released time.Time // when it was last given up
	tried    time.Time // when taking it back was last tried
}

// reservePause is the time between attempts to take the reserve back, and how
// long after a release a full disk is taken for old news.
const reservePause = time.Second

// release gives the space up. It reports whether there was any just now.
func (r *reserve) release() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.held {
		return r.now().Sub(r.released) < reservePause
	}
	if err := r.fs.Remove(r.path); err != nil && !isNotExist(err) {
		return false
	}
	r.held, r.released = false, r.now()
	r.log.Error("the disk is full; new messages are refused until there is space", "event", "queue_disk_full", "released", r.size)
	return true
}

// hold takes the space, again if need be. It reports whether it is there.
func (r *reserve) hold() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held || r.size <= 0 {
		return true
	}
	if now := r.now(); now.Sub(r.tried) >= reservePause {
		r.tried = now
		err := r.take()
		if err != nil && !r.told {
			r.log.Warn("no space for the queue's reserve; new messages are refused until there is", "event", "queue_reserve", "err", err)
		}
		r.held, r.told = err == nil, err != nil
	}
	return r.held
}

// take makes the file, unless the process before has left it: then there need not be
// space for another. It is written, since not all file systems can allocate space, nor
// all copies keep what was only allocated, with octets that can't be compressed.
func (r *reserve) take() error {
	if info, err := r.fs.Stat(r.path); err == nil && info.Size() >= r.size {
		return nil
	}
	usage, err := r.fs.GetDiskUsage(r.path)
	if isNotExist(err) {
		usage, err = r.fs.GetDiskUsage(r.fs.PathDir(r.path))
	}
	if err == nil && usage.AvailBytes < 2*uint64(r.size) {
		return fmt.Errorf("%d octets free", usage.AvailBytes)
	}
	f, err := r.fs.Create(r.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{}), r.size)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, r.fs.Remove(r.path))
	}
	return nil
}

// check returns ErrNoSpace while the reserve is in use.
func (r *reserve) check() error {
	if r.hold() {
		return nil
	}
	return fmt.Errorf("%w: the disk is full", queue.ErrNoSpace)
}
