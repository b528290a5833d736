package spool

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
)

// smallDisk has no space while it is full and the reserve is there.
type smallDisk struct {
	fs   vfs.FS
	full atomic.Bool
}

// usedDisk says how many octets are free.
type usedDisk struct {
	vfs.FS
	free uint64
}

// GetDiskUsage implements vfs.FS.
func (u *usedDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: u.free}, nil
}

func (d *smallDisk) String() string { return "small disk" }

// MaybeError implements errorfs.Injector.
func (d *smallDisk) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpCreate, errorfs.OpFileWrite:
	default:
		return nil
	}
	if !d.full.Load() {
		return nil
	}
	if _, err := d.fs.Stat("spool/" + reserveName); err != nil && d.fs.PathBase(op.Path) != reserveName {
		return nil
	}
	return syscall.ENOSPC
}

// TestFullDiskFinishesWhatItHas: on a full disk nothing new is accepted, but
// deliveries are settled and reported out of the reserve, without the engine going
// down.
func TestFullDiskFinishesWhatItHas(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	disk := &smallDisk{fs: vfs.NewMem()}
	s := mustOpen(t, errorfs.Wrap(disk.fs, disk), "spool")
	now := time.Now()
	s.reserve.now = func() time.Time { return now }
	old := storetest.NewMessage(r, storetest.Start, 100, storetest.Destination(1), storetest.Destination(2))
	old.Create(t, s)

	disk.full.Store(true)
	moved := storetest.Changed(old.Deliveries[0], func(d *queue.Delivery) { d.State, d.Attempts = queue.Deferred, 1 })
	if err := s.Commit(t.Context(), &queue.Change{Put: []queue.Move{{Old: old.Deliveries[0], New: moved}}, Sync: true}); err != nil {
		t.Errorf("deferring on a full disk: %v", err)
	}
	create := func() error {
		n, err := storetest.NewMessage(r, storetest.Start, 100, storetest.Destination(1)).Stage(s)
		if err != nil {
			return err
		}
		defer n.Content.Discard()
		return s.Commit(t.Context(), &queue.Change{Create: []queue.NewMessage{n}, Sync: true})
	}
	for range 3 {
		if err := create(); !errors.Is(err, queue.ErrNoSpace) {
			t.Errorf("accepting on a full disk: %v", err)
		}
		now = now.Add(time.Minute)
	}
	report := storetest.NewMessage(r, storetest.Start, 100, storetest.Destination(3))
	reported, err := report.Stage(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), &queue.Change{Create: []queue.NewMessage{reported}, Remove: old.Deliveries, Sync: true}); err != nil {
		t.Errorf("finishing with a report on a full disk: %v", err)
	}
	if err := s.Commit(t.Context(), &queue.Change{Remove: report.Deliveries, Sync: true}); err != nil {
		t.Errorf("finishing on a full disk: %v", err)
	}

	disk.full.Store(false)
	now = now.Add(time.Minute)
	if err := create(); err != nil {
		t.Errorf("accepting with space again: %v", err)
	}
	if _, err := disk.fs.Stat("spool/" + reserveName); err != nil {
		t.Errorf("the reserve is not back: %v", err)
	}
}

// TestStartOnFullDisk: what the process before has reserved is not asked for once
// more. It is enough to start with, and to take mail where there is space beside it.
func TestStartOnFullDisk(t *testing.T) {
	const size = 64 << 10
	for _, c := range []struct {
		reason string
		free   uint64
		full   bool
	}{
		{"there is space for mail, but not for a second reserve", size, false},
		{"there is no space at all", 0, true},
	} {
		t.Run(c.reason, func(t *testing.T) {
			disk := &smallDisk{fs: vfs.NewMem()}
			fs := &usedDisk{FS: errorfs.Wrap(disk.fs, disk), free: 1 << 30}
			o := Options{FS: fs, Logger: quiet, Memory: minMemory, Reserve: size}
			s, err := Open("spool", o)
			if err != nil {
				t.Fatal(err)
			}
			old := storetest.NewMessage(rand.New(rand.NewPCG(1, 1)), storetest.Start, 100, storetest.Destination(1))
			old.Create(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}

			fs.free = c.free
			disk.full.Store(c.full)
			if s, err = Open("spool", o); err != nil {
				t.Fatalf("it does not start: %v", err)
			}
			defer s.Close()
			if _, err := s.Free(); errors.Is(err, queue.ErrNoSpace) != c.full {
				t.Errorf("mail is refused with: %v", err)
			}
			disk.full.Store(true)
			if err := s.Commit(t.Context(), &queue.Change{Remove: old.Deliveries, Sync: true}); err != nil {
				t.Errorf("the reserve is no help: %v", err)
			}
		})
	}
}

// TestReserveIsMissedOnce: a full disk is asked again and again, and logged once for
// each time that it fills up.
func TestReserveIsMissedOnce(t *testing.T) {
	var log strings.Builder
	disk := &usedDisk{FS: vfs.NewMem(), free: 1 << 10}
	s, err := Open("spool", Options{FS: disk, Logger: slog.New(slog.NewTextHandler(&log, nil)), Memory: minMemory, Reserve: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	now := time.Now()
	s.reserve.now = func() time.Time { return now }
	for range 2 {
		for range 100 {
			now = now.Add(time.Second)
			if _, err := s.Free(); !errors.Is(err, queue.ErrNoSpace) {
				t.Fatalf("mail is taken without a reserve: %v", err)
			}
		}
		if told := strings.Count(log.String(), "queue_reserve"); told != 1 {
			t.Errorf("told %d times", told)
		}
		disk.free = 1 << 30
		now = now.Add(time.Second)
		if _, err := s.Free(); err != nil {
			t.Errorf("with space again: %v", err)
		}
		if !s.reserve.release() {
			t.Error("there is no reserve to give up")
		}
		disk.free = 1 << 10
		log.Reset()
	}
}
