package spool

import (
	"errors"
	"math/rand/v2"
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
// deliveries are settled out of the reserve, without the engine going down.
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
	if err := s.Commit(t.Context(), &queue.Change{Remove: old.Deliveries, Sync: true}); err != nil {
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
