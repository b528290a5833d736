package spool

import (
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestRenewalInterrupted: a disk that fails while a new engine takes the place of the
// old one keeps the spool from opening. When it works again all is there: the new
// engine was the only one, and is not taken for one that is not complete, nor is an
// empty one made beside it.
func TestRenewalInterrupted(t *testing.T) {
	for _, c := range []struct {
		reason string
		fails  errorfs.OpKind
		path   string
	}{
		{"the new engine can't be moved", errorfs.OpRename, "/" + newName},
		{"whether there is an old one can't be told", errorfs.OpStat, "/" + dbName},
	} {
		t.Run(c.reason, func(t *testing.T) {
			fs := vfs.NewMem()
			_, _ = twoMessages(t, fs, 100)
			broken := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind == c.fails && strings.HasSuffix(op.Path, c.path) {
					return syscall.EIO
				}
				return nil
			}))
			// This is where a renewal stands before its last step.
			if err := fs.Rename("spool/"+dbName, "spool/"+newName); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if s, err := Open("spool", Options{FS: broken, Logger: quiet, Memory: minMemory}); err == nil {
					t.Error("opened")
					s.Close()
				}
			}
			s := mustOpen(t, fs, "spool")
			if n := s.Totals().Messages; n != 2 {
				t.Errorf("%d messages are left", n)
			}
		})
	}
}

// TestRenewalFailsInTheEnd: the old engine is aside already when the new one can't
// be moved. No empty engine is opened in their place.
func TestRenewalFailsInTheEnd(t *testing.T) {
	fs, all := filled(t)
	flip(t, fs, "spool/db/"+lastOf(t, fs, ".sst"), 0.97)
	broken := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpRename && strings.HasSuffix(op.Path, "/"+newName) {
			return syscall.EIO
		}
		return nil
	}))
	if s, err := Open("spool", Options{FS: broken, Logger: quiet, Memory: minMemory}); err == nil {
		t.Error("opened")
		s.Close()
	}
	s := mustOpen(t, fs, "spool")
	if n := s.Totals().Messages; n < int64(len(all))-200 {
		t.Errorf("%d of %d messages are left", n, len(all))
	}
}
