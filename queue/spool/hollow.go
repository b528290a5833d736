package spool

import (
	"context"
	"errors"
	"path"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// hollow is a file system that shows an empty table in the place of those of which
// nothing can be read: their index is damaged, or they are cut short. One such table
// keeps Pebble from reading any other whose keys lie in the same range.
type hollow struct {
	vfs.FS
	empty  string
	tables map[string]error // why, by path
}

// Open implements vfs.FS.
func (h *hollow) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if h.tables[name] != nil {
		name = h.empty
	}
	return h.FS.Open(name, opts...)
}

// Unwrap implements vfs.FS.
func (h *hollow) Unwrap() vfs.FS { return h.FS }

// hollow looks at all tables. It hollows those of which nothing can be read, or with
// whole those of which not all can.
func (s *Spool) hollow(o *pebble.Options, whole bool) (*hollow, error) {
	dir := s.fs.PathJoin(s.dir, dbName)
	h := &hollow{FS: s.fs, empty: s.fs.PathJoin(s.dir, newName+".empty"), tables: make(map[string]error)}
	if err := writeEmptyTable(s.fs, h.empty, o); err != nil {
		return nil, err
	}
	names, err := s.fs.List(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if path.Ext(name) != ".sst" {
			continue
		}
		name = s.fs.PathJoin(dir, name)
		if err := checkTable(s.fs, name, o, whole); isDamage(err) {
			h.tables[name] = err
		} else if err != nil {
			return nil, err
		}
	}
	return h, nil
}

func writeEmptyTable(fs vfs.FS, name string, o *pebble.Options) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), o.MakeWriterOptions(0, o.FormatMajorVersion.MaxTableFormat()))
	return w.Close()
}

// checkTable reads a table: all but its data, or the whole of it.
func checkTable(fs vfs.FS, name string, o *pebble.Options, whole bool) error {
	f, err := fs.Open(name)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(context.Background(), readable, o.MakeReaderOptions())
	if err != nil {
		return errors.Join(err, readable.Close())
	}
	if _, err = r.Layout(); err == nil && whole {
		err = r.ValidateBlockChecksums()
	}
	return errors.Join(err, r.Close())
}
