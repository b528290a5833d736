package spool

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"github.com/postrider/postrider/queue"
)

// openEngine opens Pebble on f. A log that is damaged in its middle is cut there,
// a damaged file of options is put aside, and then it opens on what is left.
func (s *Spool) openEngine(f *fence, log *engineLog) (*pebble.DB, error) {
	if err := s.checkManifest(); err != nil {
		return nil, err
	}
	o := tuning(f, s.opts, log)
	for {
		db, err := pebble.Open(s.fs.PathJoin(s.dir, dbName), o)
		if err == nil || f.failure() != nil || !pebble.IsCorruptionError(err) {
			return db, err
		}
		mended, mending := s.mend(o)
		switch {
		case mending != nil:
			return nil, errors.Join(err, mending)
		case !mended:
			return nil, &UnusableError{Dir: s.dir, File: s.fs.PathJoin(s.dir, dbName), What: "is damaged: " + err.Error()}
		}
	}
}

// mend puts aside one thing that keeps the engine from opening.
func (s *Spool) mend(o *pebble.Options) (mended bool, err error) {
	d, err := s.damagedLog()
	if err != nil {
		return false, wrap("reading the log", err)
	}
	if d != nil {
		return true, wrap("cutting the log", s.cutLog(d))
	}
	return s.dropOptions(o)
}

// cut is a log that can be read up to an offset only.
type cut struct {
	name string
	at   int64 // where the first record begins that can't be read
	size int64 // of the file
	err  error
}

func (c *cut) damage() queue.Damage {
	return queue.Damage{
		Where: c.name, What: fmt.Sprintf("damaged at octet %d of %d (%v)", c.at, c.size, c.err),
		Remedy: "what was accepted, delivered or deferred in what follows there is lost: messages may be missing, and others be delivered again",
	}
}

// damagedLog returns the first log that is damaged, nil if none is.
func (s *Spool) damagedLog() (*cut, error) {
	logs, err := wal.Scan(wal.Dir{FS: s.fs, Dirname: s.fs.PathJoin(s.dir, dbName)})
	if err != nil {
		return nil, err
	}
	for i, log := range logs {
		c, err := readLog(log)
		if err != nil || c.err == nil {
			if err != nil {
				return nil, err
			}
			continue
		}
		// The last log may end in whatever a crash left there, and nobody was
		// told that it is stored.
		if i < len(logs)-1 || !errors.Is(c.err, record.ErrUnexpectedEOF) {
			return c, nil
		}
	}
	return nil, nil
}

// readLog reads a log as far as it goes.
func readLog(log wal.LogicalLog) (*cut, error) {
	fs, name := log.SegmentLocation(0) // logs have one file each: there is no failover here
	info, err := fs.Stat(name)
	if err != nil {
		return nil, err
	}
	r := log.OpenForRead()
	defer r.Close()
	c := &cut{name: name, size: info.Size()}
	for {
		_, offset, err := r.NextRecord()
		switch {
		case errors.Is(err, io.EOF):
			return c, nil
		case err != nil:
			c.at, c.err = offset.Physical, err
			return c, nil
		}
	}
}

// cutLog replaces a log by what can be read of it. The whole of it is kept aside.
func (s *Spool) cutLog(c *cut) error {
	d := c.damage()
	d.MovedTo = s.asideName(s.fs.PathBase(c.name))
	sound := s.fs.PathJoin(s.dir, dbName, "temporary.000000.dbtmp") // swept by Pebble
	err := errors.Join(copyHead(s.fs, c.name, d.MovedTo, c.size), copyHead(s.fs, c.name, sound, c.at))
	if err != nil {
		return err
	}
	if err := s.noteRebuild(); err != nil {
		return err
	}
	if err := s.fs.Rename(sound, c.name); err != nil {
		return err
	}
	for _, dir := range []string{dbName, damagedName} {
		if err := syncDir(s.fs, s.fs.PathJoin(s.dir, dir)); err != nil {
			return err
		}
	}
	_ = s.damaged(d)
	return nil
}

// asideName returns where something is put that is in the way.
func (s *Spool) asideName(name string) string {
	return s.fs.PathJoin(s.dir, damagedName, time.Now().UTC().Format("20060102T150405.000Z-")+name)
}

// copyHead makes a synced copy of the first n octets of a file.
func copyHead(fs vfs.FS, from, to string, n int64) error {
	in, err := fs.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.CopyN(out, in, n)
	return errors.Join(err, out.Sync(), out.Close())
}

// dropOptions puts the engine's file of options aside if it can't be read. It
// only repeats what tuning says.
func (s *Spool) dropOptions(o *pebble.Options) (bool, error) {
	dir := s.fs.PathJoin(s.dir, dbName)
	engine, err := pebble.Peek(dir, s.fs)
	if err != nil || engine.OptionsFilename == "" {
		return false, err
	}
	f, err := s.fs.Open(engine.OptionsFilename)
	if err != nil {
		return false, err
	}
	text, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	o = o.Clone()
	o.EnsureDefaults()
	fault := o.CheckCompatibility(dir, string(text))
	if fault == nil {
		return false, nil
	}
	d := queue.Damage{
		Where: engine.OptionsFilename, What: fault.Error(), MovedTo: s.asideName(s.fs.PathBase(engine.OptionsFilename)),
		Remedy: "nothing is lost: the file only repeats what the program knows",
	}
	if err := s.fs.Rename(d.Where, d.MovedTo); err != nil {
		return false, err
	}
	_ = s.damaged(d)
	return true, nil
}
