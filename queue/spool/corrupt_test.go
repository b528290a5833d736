package spool

import (
	"errors"
	"hash/crc32"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
)

// filled returns a file system with a stopped spool of 300 small messages, most of
// them in tables.
func filled(t *testing.T) (*vfs.MemFS, []*storetest.Message) {
	t.Helper()
	return filledWith(t, 100, 2<<10)
}

// filledWith is filled with three times each messages of size octets.
func filledWith(t *testing.T, each, size int) (*vfs.MemFS, []*storetest.Message) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	r := rand.New(rand.NewPCG(2, 2))
	var all []*storetest.Message
	for range 3 { // opening makes a table of what is in the log
		s := mustOpen(t, fs, "spool")
		for i := range each {
			at := storetest.Start.Add(time.Duration(len(all)) * time.Second)
			m := storetest.NewMessage(r, at, size, storetest.Destination(i%5))
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

// TestEngineFilesCorrupted inverts an octet in each kind of file the engine has.
// The spool opens, and what can't be read is reported; everything else is there and
// in the schedule, and new mail is taken.
func TestEngineFilesCorrupted(t *testing.T) {
	fs, all := filled(t)
	for _, c := range []struct {
		reason string
		kind   string // of file; the last of its kind
		share  float64
		lost   int // messages at most
	}{
		{"records of a table", ".sst", 0.2, 160},
		{"the index of a table, and so all of it", ".sst", 0.97, 200},
		{"a block of contents", ".blob", 0.5, 9},
		{"the footer of contents, and so all of them", ".blob", 1, 100},
		{"the log in its middle", ".log", 0.5, 60},
		{"the engine's options", "OPTIONS", 0.005, 0},
		{"a manifest that is not used any more", "MANIFEST-000009", 0.5, 0},
	} {
		t.Run(c.reason, func(t *testing.T) {
			hurt := fs.CrashClone(vfs.CrashCloneCfg{})
			name := lastOf(t, hurt, c.kind)
			flip(t, hurt, "spool/db/"+name, c.share)
			goesOn(t, hurt, all, c.lost)
		})
	}
}

// lastOf returns the last file of the engine whose name has a part.
func lastOf(t *testing.T, fs vfs.FS, part string) (last string) {
	t.Helper()
	names, err := fs.List("spool/db")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.Contains(name, part) && !strings.HasPrefix(name, markerPrefix) {
			last = name
		}
	}
	if last == "" {
		t.Fatalf("no %s among %v", part, names)
	}
	return last
}

// goesOn asserts that a hurt spool opens, that at most so many messages are lost,
// all of them reported, and that the others are there and scheduled. Afterwards the
// next start finds nothing to complain about but that.
func goesOn(t *testing.T, fs vfs.FS, all []*storetest.Message, lost int) {
	t.Helper()
	recovered := newListener("queue_disk_recovered")
	s, err := Open("spool", Options{FS: fs, Logger: slog.New(recovered), Memory: minMemory})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, _ = s.Messages(t.Context(), mail.ID{}, 1000) // meets what the start has not met
	awaitRecovery(t, s, recovered)
	reported := map[mail.ID]bool{}
	unnamed := false // it was said that there may be more
	for _, d := range append(s.Damaged(), faultsFound(t, s)...) {
		reported[d.Message] = true
		unnamed = unnamed || d.Message.IsZero() && strings.Contains(d.Remedy, "may be missing")
	}
	scheduled := map[mail.ID]bool{}
	for i := range 5 {
		for _, m := range all[i : i+1] {
			places, err := s.Due(t.Context(), m.Deliveries[0].Lane(), queue.Place{}, storetest.Start.Add(time.Hour), 1000)
			if err != nil {
				t.Error(err)
			}
			for _, p := range places {
				scheduled[p.Message] = true
			}
		}
	}
	gone := 0
	for _, m := range all {
		id := m.Envelope.ID
		data, err := read(t, s, id)
		if err == nil {
			_, err = s.Deliveries(t.Context(), id)
		}
		switch {
		case err == nil && data != string(m.Content):
			t.Errorf("%s reads wrong, and without an error", id)
		case err == nil && !scheduled[id]:
			t.Errorf("%s is not in the schedule", id)
		case err != nil && !reported[id] && !unnamed:
			t.Errorf("%s can't be read and is not reported: %v", id, err)
		}
		if err != nil {
			gone++
		}
	}
	if gone > lost || gone == 0 && lost > 0 {
		t.Errorf("%d messages lost, want at most %d, and some", gone, lost)
	}
	storetest.NewMessage(rand.New(rand.NewPCG(9, 9)), storetest.Start, 100, storetest.Destination(1)).Create(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = mustOpen(t, fs, "spool")
	if d := s.Damaged(); len(d) > 0 {
		t.Errorf("the next start finds more: %+v", d)
	}
}

// TestManifestCorrupted: Pebble would open the queue as it was at some earlier time
// and remove what came since. The spool refuses, names the file and changes nothing.
func TestManifestCorrupted(t *testing.T) {
	fs, _ := filled(t)
	for _, share := range []float64{0, 0.3, 0.5, 0.8, 1} {
		hurt := fs.CrashClone(vfs.CrashCloneCfg{})
		name := lastOf(t, hurt, "MANIFEST")
		flip(t, hurt, "spool/db/"+name, share)
		before := tree(t, hurt, "spool")
		_, err := Open("spool", Options{FS: hurt, Logger: quiet, Memory: minMemory})
		var unusable *UnusableError
		if !errors.As(err, &unusable) || !errors.Is(err, queue.ErrDamaged) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "backup") {
			t.Errorf("at %.0f%%: %v", 100*share, err)
		}
		if after := tree(t, hurt, "spool"); !maps.Equal(before, after) {
			t.Errorf("at %.0f%%: files were changed", 100*share)
		}
	}
}

// TestManifestMissing: without the file that names the manifest Pebble would begin a
// new queue and remove the old one.
func TestManifestMissing(t *testing.T) {
	fs, _ := filled(t)
	for _, part := range []string{"marker.manifest", "MANIFEST"} {
		hurt := fs.CrashClone(vfs.CrashCloneCfg{})
		names, err := hurt.List("spool/db")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasPrefix(name, part) {
				if err := hurt.Remove("spool/db/" + name); err != nil {
					t.Fatal(err)
				}
			}
		}
		var unusable *UnusableError
		if _, err := Open("spool", Options{FS: hurt, Logger: quiet, Memory: minMemory}); !errors.As(err, &unusable) {
			t.Errorf("without %s: %v", part, err)
		}
	}
}

// tree returns the sums of all files but the one that says who holds the lock.
func tree(t *testing.T, fs vfs.FS, dir string) map[string]uint32 {
	t.Helper()
	sums := map[string]uint32{}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case info.IsDir():
			maps.Copy(sums, tree(t, fs, path))
		case name != holderName && name != reserveName:
			f, err := fs.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(f)
			if err = errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
			sums[path] = crc32.Checksum(data, castagnoli)
		}
	}
	return sums
}
