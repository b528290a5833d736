package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
)

// faults makes write operations fail.
type faults struct {
	mu    sync.Mutex
	after int   // write operations until the first one fails; negative: never
	count int   // how many fail then
	err   error // what with
	hit   int
	ops   int
}

func (f *faults) String() string { return "faults" }

// MaybeError implements errorfs.Injector.
func (f *faults) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpFileClose {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ops++
	if f.after < 0 {
		return nil
	}
	if f.after > 0 {
		f.after--
		return nil
	}
	if f.count == 0 {
		return nil
	}
	f.count--
	f.hit++
	return f.err
}

func (f *faults) set(after, count int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after, f.count, f.err, f.hit, f.ops = after, count, err, 0, 0
}

func (f *faults) heal() (hit int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = -1
	return f.hit
}

// listen is a log handler that tells of an event.
type listen struct {
	slog.Handler
	event string
	heard chan struct{}
}

func (l *listen) Enabled(context.Context, slog.Level) bool { return true }

func (l *listen) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "event" && a.Value.String() == l.event {
			select {
			case l.heard <- struct{}{}:
			default:
			}
		}
		return true
	})
	return nil
}

func newListener(event string) *listen {
	return &listen{Handler: slog.DiscardHandler, event: event, heard: make(chan struct{}, 1)}
}

// awaitRecovery returns when the spool works.
func awaitRecovery(t *testing.T, s *Spool, recovered *listen) {
	t.Helper()
	for {
		if _, err := s.Free(); err == nil {
			return
		}
		select {
		case <-recovered.heard:
		case <-t.Context().Done():
			t.Fatal("the spool did not recover")
		}
	}
}

// TestNoFileOfWhatFailed: content that was stored together with the end of another
// message leaves no file behind if the disk fails with it, nor loses it if the change
// was done after all.
func TestNoFileOfWhatFailed(t *testing.T) {
	for after := range 12 {
		fs, disk := vfs.NewMem(), &faults{after: -1}
		old, _ := twoMessages(t, fs, 100)
		recovered := newListener("queue_disk_recovered")
		s, err := Open("spool", Options{FS: errorfs.Wrap(fs, disk), Logger: slog.New(recovered), Memory: minMemory, Reserve: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		report := storetest.NewMessage(rand.New(rand.NewPCG(3, 3)), storetest.Start, 100_000, storetest.Destination(1))
		created, err := report.Stage(s)
		if err != nil {
			t.Fatal(err)
		}
		disk.set(after, 1, syscall.EIO)
		err = s.Commit(t.Context(), &queue.Change{Create: []queue.NewMessage{created}, Remove: old.Deliveries, Sync: true})
		created.Content.Discard()
		disk.heal()
		awaitRecovery(t, s, recovered)
		_, missing := s.Envelope(t.Context(), report.Envelope.ID)
		files := idsAmong(t, fs, "spool/content")
		if (missing == nil) != (len(files) == 1) || err == nil && missing != nil {
			t.Errorf("a fault at operation %d: commit: %v; the message: %v; files: %v", after, err, missing, files)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFailingDisk makes each write operation of a history fail in turn, once or
// for good until it is repaired. A step that succeeds is done, one that fails is
// not, and everything goes on without a restart.
func TestFailingDisk(t *testing.T) {
	for _, c := range []struct {
		reason string
		err    error
		count  int
	}{
		{"disk full until there is space again", syscall.ENOSPC, 1 << 30},
		{"one input/output error", syscall.EIO, 1},
		{"input/output errors until repaired", syscall.EIO, 1 << 30},
		{"file system becomes read-only", syscall.EROFS, 1 << 30},
	} {
		t.Run(c.reason, func(t *testing.T) {
			t.Parallel()
			for after := rand.IntN(thinning); after < 150; after += 1 + rand.IntN(2*thinning) {
				playWithFault(t, after, c.count, c.err)
			}
		})
	}
}

func playWithFault(t *testing.T, after, count int, injected error) {
	f := &faults{after: -1}
	fs := vfs.NewCrashableMem()
	recovered := newListener("queue_disk_recovered")
	s, err := Open("spool", Options{FS: errorfs.Wrap(fs, f), Logger: slog.New(recovered), Memory: minMemory, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	script := storetest.NewScript(uint64(after))
	f.set(after, count, injected)
	failed := 0
	for range 40 {
		step := script.Next()
		err := step.Do(t.Context(), s)
		if err == nil {
			script.Model = step.After
			continue
		}
		failed++
		if !errors.Is(err, queue.ErrNoSpace) && isNoSpace(injected) {
			t.Fatalf("%s with %v: %v", step.Name, injected, err)
		}
		f.heal()
		awaitRecovery(t, s, recovered)
		before := script.Model
		if err := before.Compare(t.Context(), s); err != nil {
			if step.Create && !step.Others {
				t.Fatalf("%s was refused at operation %d, but: %v", step.Name, after, err)
			}
			if other := step.After.Compare(t.Context(), s); other != nil {
				t.Fatalf("%s failed at operation %d and is neither undone (%v) nor done (%v)", step.Name, after, err, other)
			}
			script.Model = step.After
		}
	}
	f.heal()
	awaitRecovery(t, s, recovered)
	if failed == 0 && f.hit > 0 && count > 1 {
		t.Errorf("operation %d and all after it failed, and nobody noticed", after)
	}
	if err := script.Model.Compare(t.Context(), s); err != nil {
		t.Fatalf("at the end, after a fault at operation %d: %v", after, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	openAndCompare(t, fmt.Sprintf("a fault at operation %d", after), fs.CrashClone(vfs.CrashCloneCfg{}), []*storetest.Model{script.Model})
}
