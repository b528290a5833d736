package spool

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue/storetest"
)

// TestContentOutlivesLostRecords: content files of messages whose records are lost
// with a table are kept aside, all of them, and said to be.
func TestContentOutlivesLostRecords(t *testing.T) {
	fs, all := filledWith(t, 20, smallContent+1) // contents lie in files
	for _, c := range []struct {
		reason string
		share  float64
	}{
		{"a block of records", 0.2},
		{"the index of a table", 0.97},
	} {
		t.Run(c.reason, func(t *testing.T) {
			hurt := fs.CrashClone(vfs.CrashCloneCfg{})
			flip(t, hurt, "spool/db/"+lastOf(t, hurt, ".sst"), c.share)
			s := mustOpen(t, hurt, "spool")
			readable := 0
			for _, m := range all {
				if data, err := read(t, s, m.Envelope.ID); err == nil && data == string(m.Content) {
					readable++
				}
			}
			aside := idsAmong(t, hurt, "spool/damaged")
			if readable == len(all) || readable+len(aside) != len(all) {
				t.Errorf("%d messages can be read and %d contents are aside, of %d", readable, len(aside), len(all))
			}
			for _, d := range s.Damaged() {
				if i := slices.Index(aside, d.Message); i >= 0 && d.MovedTo != "" {
					aside = slices.Delete(aside, i, i+1)
				}
			}
			if len(aside) > 0 {
				t.Errorf("moved and not told: %v", aside)
			}
		})
	}
}

// TestOrphansOfARebuildAreKept: an engine that is made anew while the relay runs
// leaves content files where they are. The next start keeps them aside, and the one
// after it sweeps as always.
func TestOrphansOfARebuildAreKept(t *testing.T) {
	fs := vfs.NewMem()
	lost, _ := twoMessages(t, fs, 200_000)
	s := mustOpen(t, fs, "spool")
	b := s.current.db.NewBatch()
	_ = b.Delete(appendIDKey(nil, tableMessage, lost.Envelope.ID), nil)
	if err := s.current.db.Apply(b, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if _, err := s.rebuild(s.current); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if found := inspect(t, fs); len(found) != 1 || !strings.Contains(found[0].Remedy, "moves it to") {
		t.Errorf("offline: %+v", found)
	}
	s = mustOpen(t, fs, "spool")
	if aside := idsAmong(t, fs, "spool/damaged"); !slices.Equal(aside, []mail.ID{lost.Envelope.ID}) {
		t.Errorf("aside: %v", aside)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	never := mail.NewID(storetest.Start)
	overwrite(t, fs, "spool/content/"+never.String(), []byte("x"))
	s = mustOpen(t, fs, "spool")
	if aside := idsAmong(t, fs, "spool/damaged"); slices.Contains(aside, never) || len(s.Damaged()) > 0 {
		t.Errorf("what was never acknowledged is kept: %v", aside)
	}
}

// TestCutLogIsRemembered: if the power goes between the cutting of a log and what it
// makes necessary, the next start does that. Content files of what was cut off are
// kept aside, not taken for what was never acknowledged.
func TestCutLogIsRemembered(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := mustOpen(t, fs, "spool")
	r := rand.New(rand.NewPCG(1, 1))
	var all []mail.ID
	for range 80 {
		m := storetest.NewMessage(r, storetest.Start, smallContent+1, storetest.Destination(1))
		m.Envelope.MessageID = strings.Repeat("x", 1000) // so that the log has several blocks
		m.Create(t, s)
		all = append(all, m.Envelope.ID)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	flip(t, fs, "spool/db/"+lastOf(t, fs, ".log"), 0.5)
	var cut atomic.Bool // the engine removes files meanwhile
	broken := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpRename && strings.HasSuffix(op.Path, "temporary.000000.dbtmp") {
			cut.Store(true)
		}
		if cut.Load() && op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".log") {
			return syscall.EIO
		}
		return nil
	}))
	if s, err := Open("spool", Options{FS: broken, Logger: quiet, Memory: minMemory}); err == nil || !cut.Load() {
		t.Errorf("the test shows nothing: opened with %v (cut: %t)", err, cut.Load())
		s.Close()
	}
	fs = fs.CrashClone(vfs.CrashCloneCfg{})
	mustOpen(t, fs, "spool")
	there := append(idsAmong(t, fs, "spool/content"), idsAmong(t, fs, "spool/damaged")...)
	if len(there) != len(all) || len(idsAmong(t, fs, "spool/damaged")) == 0 {
		t.Errorf("%d of %d contents are left, in content/ and aside", len(there), len(all))
	}
}

// idsAmong returns the files of a directory that are named by an id.
func idsAmong(t *testing.T, fs vfs.FS, dir string) (ids []mail.ID) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if id, err := mail.ParseID(name); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}
