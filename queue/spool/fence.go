package spool

import (
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fence is the file system one generation of the engine lives on. It passes
// everything through to the disk until a write fails that Pebble could not
// survive; then it closes, for good: what is written is swallowed and reported
// as done, what is created goes nowhere.
//
// Why: Pebble v2 ends the process when its log or manifest can't be written
// (db.go applyInternal, version_set.go), holds its locks for ever when a log
// write fails without a sync, and repeats a failed flush while commits wait
// for it. Behind a closed fence it sees no error, so that its goroutines run to
// their end and it can be closed; and since nothing reaches the disk any more, the
// next generation finds there exactly what was durable. A commit counts only if
// the fence was still open after it: its sync was then a real one.
type fence struct {
	vfs.FS
	// full is called when the disk is full and tells whether it helped; the
	// write is then tried again.
	full func() bool
	// broken is called once, when the fence closes.
	broken func(error)

	once   sync.Once
	closed chan struct{}
	err    error // set before closed is closed
}

func newFence(fs vfs.FS, full func() bool, broken func(error)) *fence {
	return &fence{FS: fs, full: full, broken: broken, closed: make(chan struct{})}
}

// failure returns what closed the fence, nil while it is open.
func (f *fence) failure() error {
	select {
	case <-f.closed:
		return f.err
	default:
		return nil
	}
}

func (f *fence) close(err error) {
	f.once.Do(func() {
		f.err = err
		close(f.closed)
		f.broken(err)
	})
}

// try runs a write-like operation. Without space it asks for some and tries
// once more. An error that remains closes the fence, and is not told.
func (f *fence) try(op func() error) {
	if f.failure() != nil {
		return
	}
	err := op()
	if err != nil && isNoSpace(err) && f.full() {
		err = op()
	}
	if err != nil {
		f.close(err)
	}
}

// compaction is the category of files whose failure Pebble survives: it keeps
// the input and tries again. compactionPause keeps it from doing so at once.
const (
	compaction      vfs.DiskWriteCategory = "pebble-compaction"
	compactionPause                       = 200 * time.Millisecond
)

func (f *fence) open(category vfs.DiskWriteCategory, op func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	var err error
	if category == compaction && f.failure() == nil {
		if file, err = op(); err != nil {
			return nil, f.pause(err)
		}
		return &fencedFile{File: file, fence: f, survivable: true}, nil
	}
	f.try(func() error {
		file, err = op()
		return err
	})
	if f.failure() != nil && (file == nil || err != nil) {
		return voidFile{}, nil
	}
	return &fencedFile{File: file, fence: f}, nil
}

// pause waits a little before it hands on an error that makes Pebble repeat
// what failed.
func (f *fence) pause(err error) error {
	select {
	case <-time.After(compactionPause):
	case <-f.closed:
	}
	return err
}

// markerPrefix begins the names of files that say by their name which manifest
// is the current one.
const markerPrefix = "marker."

// Create implements vfs.FS. Pebble makes a marker before it has synced the
// directory that names what the marker points to. On a file system that doesn't
// keep the order of directory entries a power cut could leave the one without
// the other, so that is done first.
func (f *fence) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasPrefix(f.FS.PathBase(name), markerPrefix) {
		f.try(func() error { return syncDir(f.FS, f.FS.PathDir(name)) })
	}
	return f.open(category, func() (vfs.File, error) { return f.FS.Create(name, category) })
}

// OpenReadWrite implements vfs.FS.
func (f *fence) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.open(category, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, category, opts...) })
}

// ReuseForWrite implements vfs.FS.
func (f *fence) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(category, func() (vfs.File, error) { return f.FS.ReuseForWrite(oldname, newname, category) })
}

// OpenDir implements vfs.FS. Directories are opened to be synced.
func (f *fence) OpenDir(name string) (vfs.File, error) {
	return f.open(vfs.WriteCategoryUnspecified, func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

// Link implements vfs.FS.
func (f *fence) Link(oldname, newname string) error {
	f.try(func() error { return f.FS.Link(oldname, newname) })
	return nil
}

// Rename implements vfs.FS.
func (f *fence) Rename(oldname, newname string) error {
	f.try(func() error { return f.FS.Rename(oldname, newname) })
	return nil
}

// MkdirAll implements vfs.FS.
func (f *fence) MkdirAll(dir string, perm os.FileMode) error {
	f.try(func() error { return f.FS.MkdirAll(dir, perm) })
	return nil
}

// Remove implements vfs.FS. Pebble survives a file that it can't remove.
func (f *fence) Remove(name string) error {
	if f.failure() != nil {
		return nil
	}
	return f.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (f *fence) RemoveAll(name string) error {
	if f.failure() != nil {
		return nil
	}
	return f.FS.RemoveAll(name)
}

// Unwrap implements vfs.FS.
func (f *fence) Unwrap() vfs.FS { return f.FS }

// fencedFile is a file behind a fence.
type fencedFile struct {
	vfs.File
	fence *fence
	// survivable: Pebble is told of errors instead of the fence closing.
	survivable bool
}

func (f *fencedFile) do(op func() error) error {
	if !f.survivable {
		f.fence.try(op)
		return nil
	}
	if f.fence.failure() != nil {
		return nil
	}
	if err := op(); err != nil {
		return f.fence.pause(err)
	}
	return nil
}

// Write implements vfs.File. A write that was cut short goes on where it
// stopped when it is tried again.
func (f *fencedFile) Write(p []byte) (int, error) {
	rest := p
	err := f.do(func() error {
		n, err := f.File.Write(rest)
		rest = rest[n:]
		return err
	})
	if err != nil {
		return len(p) - len(rest), err
	}
	return len(p), nil
}

// WriteAt implements vfs.File.
func (f *fencedFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.do(func() error {
		_, err := f.File.WriteAt(p, off)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// Preallocate implements vfs.File. It is only for speed.
func (f *fencedFile) Preallocate(offset, length int64) error {
	if f.fence.failure() != nil {
		return nil
	}
	return f.File.Preallocate(offset, length)
}

// Sync implements vfs.File. A sync that failed is never repeated on the same
// file: the kernel forgets what it could not write after telling once.
func (f *fencedFile) Sync() error { return f.sync(f.File.Sync) }

// SyncData implements vfs.File.
func (f *fencedFile) SyncData() error { return f.sync(f.File.SyncData) }

// SyncTo implements vfs.File.
func (f *fencedFile) SyncTo(length int64) (full bool, err error) {
	err = f.sync(func() error {
		var err error
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

func (f *fencedFile) sync(op func() error) error {
	if f.fence.failure() != nil {
		return nil
	}
	err := op()
	if err != nil && !f.survivable {
		f.fence.close(err)
		return nil
	}
	return err
}

// Close implements vfs.File. Files are synced before they are closed, so that
// an error here costs nothing.
func (f *fencedFile) Close() error {
	err := f.File.Close()
	if f.fence.failure() != nil {
		return nil
	}
	return err
}

// voidFile is what a closed fence creates. It takes everything and holds
// nothing.
type voidFile struct{}

var errVoid = errors.New("written after the disk had failed")

func (voidFile) Write(p []byte) (int, error)            { return len(p), nil }
func (voidFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (voidFile) Read([]byte) (int, error)               { return 0, errVoid }
func (voidFile) ReadAt([]byte, int64) (int, error)      { return 0, errVoid }
func (voidFile) Stat() (vfs.FileInfo, error)            { return nil, errVoid }
func (voidFile) Preallocate(int64, int64) error         { return nil }
func (voidFile) Prefetch(int64, int64) error            { return nil }
func (voidFile) Sync() error                            { return nil }
func (voidFile) SyncData() error                        { return nil }
func (voidFile) SyncTo(int64) (bool, error)             { return false, nil }
func (voidFile) Fd() uintptr                            { return vfs.InvalidFd }
func (voidFile) Close() error                           { return nil }
