package queue_test

import (
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
)

// fullDisk has no space while it is full, but for what the reserve leaves when it is
// given up.
type fullDisk struct {
	fs   vfs.FS
	full atomic.Bool
}

func (d *fullDisk) String() string { return "full disk" }

// MaybeError implements errorfs.Injector.
func (d *fullDisk) MaybeError(op errorfs.Op) error {
	if !d.full.Load() || op.Kind != errorfs.OpCreate && op.Kind != errorfs.OpFileWrite {
		return nil
	}
	const reserve = "spool/reserve"
	if _, err := d.fs.Stat(reserve); err != nil && op.Path != reserve {
		return nil
	}
	return syscall.ENOSPC
}

// TestFullDisk: while the disk is full new mail is refused, and what is in the queue
// goes on: what is taken leaves it, what is refused for good goes back to its sender,
// and what is deferred is tried again. Nothing is left to the operator.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world, disk := newLedger(), &fullDisk{fs: vfs.NewMem()}
		m := bootWith(t, spool.Options{FS: errorfs.Wrap(disk.fs, disk), Reserve: 64 << 10}, world)
		defer m.shutDown()
		for _, to := range []string{"good@a.example", "late@b.example", "bad@c.example"} {
			if _, err := world.submit(m.Queue, letter{size: 100, to: []string{to}, disposition: queue.Hold}); err != nil {
				t.Fatal(err)
			}
		}

		disk.full.Store(true)
		if n, err := m.Release(context.Background(), queue.Selector{All: true}); n != 3 || err != nil {
			t.Errorf("%d released on a full disk: %v", n, err)
		}
		time.Sleep(time.Hour)
		_, err := world.submit(m.Queue, letter{size: 100, to: []string{"good@d.example"}})
		var refusal *mail.Error
		if !errors.As(err, &refusal) || refusal.Reply.Code != 452 {
			t.Errorf("a client is answered %v, want 452", err)
		}
		synctest.Wait()
		if !world.reported["bad@c.example"] || world.taken["good@a.example"] != 1 || world.taken["late@b.example"] != 1 {
			t.Errorf("on a full disk: taken %v, reported %v", world.taken, world.reported)
		}
		if left, _, err := m.List(context.Background(), queue.Selector{All: true}, queue.DeliveryKey{}, 9); len(left) > 0 || err != nil {
			t.Errorf("left in the queue: %+v (%v)", left, err)
		}

		disk.full.Store(false)
		time.Sleep(10 * time.Second)
		if err := m.Ready(); err != nil {
			t.Errorf("with space again: %v", err)
		}
	})
}
