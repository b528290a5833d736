package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/queue"
)

// UnusableError says that a spool can't be opened: a file without which nothing
// else can be found is damaged. It is ErrDamaged. Nothing was changed.
type UnusableError struct {
	Dir  string // of the spool
	File string
	What string
}

// Error names the file and the way out.
func (e *UnusableError) Error() string {
	return fmt.Sprintf("the queue can't be opened: %s %s. Nothing was changed. %s", e.File, e.What, e.remedy())
}

func (e *UnusableError) remedy() string {
	return fmt.Sprintf("Restore %s as a whole from a backup, or move all of it to another place to start with an empty queue; "+
		"messages over 64 KiB are files in its folder %s, without their envelopes", e.Dir, contentName)
}

// Unwrap makes it an ErrDamaged.
func (e *UnusableError) Unwrap() error { return queue.ErrDamaged }

// checkManifest reads the file that says which tables there are before the engine
// does. Pebble v2.1.7 takes the first record of it that it can't read for its end
// (version_set.go load): it would open the queue as it once was, and remove the
// tables that have come since. That is right behind a power cut, which can only
// hurt the last record, whose tables nothing relies on yet; it is a loss of
// acknowledged mail if a record rots.
func (s *Spool) checkManifest() error {
	db := s.fs.PathJoin(s.dir, dbName)
	unusable := func(file, format string, args ...any) error {
		return &UnusableError{Dir: s.dir, File: file, What: fmt.Sprintf(format, args...)}
	}
	engine, err := pebble.Peek(db, s.fs)
	if err != nil {
		return wrap("looking at the queue engine", err)
	}
	if !engine.Exists {
		name, err := anyTable(s.fs, db)
		if err == nil && name != "" {
			// Pebble would make a new engine and remove them.
			err = unusable(db, "holds %s, but no file marker.manifest.* that says how to read it", name)
		}
		return err
	}
	f, err := s.fs.Open(engine.ManifestFilename)
	if isNotExist(err) {
		return unusable(engine.ManifestFilename, "is missing")
	}
	if err != nil {
		return wrap("opening the queue engine", err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return wrap("reading "+engine.ManifestFilename, err)
	}
	end, err := soundEnd(data)
	switch {
	case err == nil:
		return nil
	case end == 0:
		return unusable(engine.ManifestFilename, "can't be read from its beginning (%v)", err)
	case !torn(data, end):
		return unusable(engine.ManifestFilename, "is damaged at octet %d of %d (%v)", end, len(data), err)
	}
	s.log.Warn("the last write before a crash is incomplete and is left out", "event", "queue_torn_write",
		"file", engine.ManifestFilename, "offset", end)
	return nil
}

// anyTable returns the name of a file that only an engine in use can have made.
func anyTable(fs vfs.FS, dir string) (string, error) {
	names, err := fs.List(dir)
	for _, name := range names {
		switch path.Ext(name) {
		case ".sst", ".blob", ".log":
			return name, err
		}
	}
	return "", err
}

// soundEnd returns where the first record begins that can't be read, and why; no
// error if there is none.
func soundEnd(manifest []byte) (int, error) {
	r := record.NewReader(bytes.NewReader(manifest), 0)
	for {
		end := int(r.Offset())
		rec, err := r.Next()
		if err == nil {
			_, err = io.Copy(io.Discard, rec)
		}
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return end, err
		}
	}
}

// Sizes of the manifest's format, see Pebble's record/record.go.
const (
	recordBlock  = 32 << 10
	recordHeader = 7 // sum, 2 octets of length, type
)

// sector is the unit in which a disk writes all or nothing, in octets.
const sector = 512

// torn reports whether what lies from end on may be a write that the power cut:
// shorter than it says, or with sectors that were never written.
func torn(data []byte, end int) bool {
	for from := end; from < len(data); from = (from/sector + 1) * sector {
		to := min((from/sector+1)*sector, len(data))
		if len(bytes.Trim(data[from:to], "\x00")) == 0 && (from%sector == 0 || to == len(data)) {
			return true
		}
	}
	for at := end; ; {
		if recordBlock-at%recordBlock < recordHeader {
			at = (at/recordBlock + 1) * recordBlock
		}
		if at+recordHeader > len(data) {
			return true
		}
		length := int(binary.LittleEndian.Uint16(data[at+4:]))
		next := at + recordHeader + length
		switch {
		case at/recordBlock != (next-1)/recordBlock:
			return false // no chunk is written over the end of a block
		case next > len(data):
			return true
		case next%recordBlock != 0:
			return false // only the last chunk ends within a block
		}
		at = next
	}
}
