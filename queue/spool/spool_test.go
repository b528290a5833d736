package spool

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet is for tests in which damage and failing disks are what is expected.
var quiet = slog.New(slog.DiscardHandler)

func mustOpen(t testing.TB, fs vfs.FS, dir string) *Spool {
	t.Helper()
	s, err := Open(dir, Options{FS: fs, Logger: quiet, Memory: minMemory, Reserve: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestContract(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) func() queue.Store {
			fs := vfs.NewMem()
			return func() queue.Store { return mustOpen(t, fs, "spool") }
		})
	})
	t.Run("disk", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) func() queue.Store {
			dir := t.TempDir()
			return func() queue.Store { return mustOpen(t, vfs.Default, dir) }
		})
	})
}
