package spool

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
)

// filled returns a file system with a stopped spool of many messages, most of
// them in tables.
func filled(t *testing.T) (*vfs.MemFS, []*storetest.Message) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	r := rand.New(rand.NewPCG(2, 2))
	var all []*storetest.Message
	for range 3 { // opening makes a table of what is in the log
		s := mustOpen(t, fs, "spool")
		for i := range 40 {
			m := storetest.NewMessage(r, storetest.Start, 4<<10, storetest.Destination(i%5))
			m.Create(t, s)
			all = append(all, m)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fs, all
}

// flip inverts an octet of a file.
func flip(t *testing.T, fs vfs.FS, name string, share float64) {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if len(data) == 0 {
		return
	}
	data[int(share*float64(len(data)-1))] ^= 0xff
	overwrite(t, fs, name, data)
}

// TestTablesCorrupted inverts an octet in each of the engine's tables and files of
// contents. The spool opens or says what is at fault; if it opens, what can't be
// read is reported with its id, everything else is there, and new mail is taken.
func TestTablesCorrupted(t *testing.T) {
	fs, all := filled(t)
	names, err := fs.List("spool/db")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	opened := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") && !strings.HasSuffix(name, ".blob") {
			continue
		}
		for _, share := range []float64{0.1, 0.5, 0.9} {
			hurt := fs.CrashClone(vfs.CrashCloneCfg{})
			flip(t, hurt, "spool/db/"+name, share)
			s, err := Open("spool", Options{FS: hurt, Logger: quiet, Memory: minMemory})
			if err != nil {
				if !errors.Is(err, queue.ErrDamaged) || !strings.Contains(err.Error(), strings.TrimSuffix(name, path.Ext(name))) {
					t.Errorf("%s, at %.0f%%: the error doesn't name the file: %v", name, 100*share, err)
				}
				continue
			}
			opened++
			goesOn(t, s, all, fmt.Sprintf("%s, at %.0f%%", name, 100*share))
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if opened == 0 {
		t.Error("it never opened: the test shows little")
	}
}

// goesOn asserts that every message is either as it was or reported.
func goesOn(t *testing.T, s *Spool, all []*storetest.Message, where string) {
	t.Helper()
	reported := map[mail.ID]bool{}
	unnamed := false
	for _, d := range faultsFound(t, s) {
		reported[d.Message] = true
		unnamed = unnamed || d.Message.IsZero() && strings.HasPrefix(d.Where, "table")
	}
	for _, m := range all {
		data, err := read(t, s, m.Envelope.ID)
		if err == nil {
			_, err = s.Deliveries(t.Context(), m.Envelope.ID)
		}
		switch {
		case err == nil && data != string(m.Content):
			t.Errorf("%s: %s reads wrong, and without an error", where, m.Envelope.ID)
		case err != nil && !reported[m.Envelope.ID] && !unnamed:
			t.Errorf("%s: %s can't be read and is not reported: %v", where, m.Envelope.ID, err)
		}
	}
	storetest.NewMessage(rand.New(rand.NewPCG(9, 9)), storetest.Start, 100, storetest.Destination(1)).Create(t, s)
}
