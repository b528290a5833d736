package spool

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
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

// TestPickedOnce: the last key before a gap was copied. Records that are written once
// are not picked again, as they would come back when the message ends; deliveries of
// the same message may follow it.
func TestPickedOnce(t *testing.T) {
	before, last, within := mail.NewID(storetest.Start), mail.NewID(storetest.Start.Add(1e9)), mail.NewID(storetest.Start.Add(2e9))
	c := copier{known: map[mail.ID]bool{before: true, last: true, within: true}}
	for _, g := range []struct {
		table byte
		key   []byte // the last
		want  []mail.ID
	}{
		{tableMessage, appendIDKey(nil, tableMessage, last), []mail.ID{within}},
		{tableDelivery, appendDeliveryKey(nil, queue.DeliveryKey{Message: last, Number: 1}), []mail.ID{last, within}},
	} {
		if got := c.idsIn(stretch{from: append(g.key, 0), to: []byte{g.table + 1}}); !slices.Equal(got, g.want) {
			t.Errorf("in a gap of the %s: %v, want %v", tableNames[g.table], got, g.want)
		}
	}
}

// settled returns a file system with a stopped spool of messages that wait for the
// operator, all in one table that nothing is written to any more.
func settled(t *testing.T) (*vfs.MemFS, []*storetest.Message) {
	t.Helper()
	fs, r := vfs.NewMem(), rand.New(rand.NewPCG(4, 4))
	var all []*storetest.Message
	for range 2 { // what is but flushed is not packed, and damage in large blocks takes long
		s := mustOpen(t, fs, "spool")
		for range 40 {
			m := storetest.NewMessage(r, storetest.Start.Add(time.Duration(len(all))*time.Second), 2000, storetest.Destination(1))
			m.Deliveries[0].State = queue.Held
			m.Envelope.MessageID = strings.Repeat("x", 800) // so that a block holds few of them
			m.Create(t, s)
			all = append(all, m)
		}
		if err := s.current.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fs, all
}

// TestDamageMetAtWork: no start reads all records, and no compaction comes to a table
// that has settled. Whoever reads it there has the engine made anew, while the relay
// runs, and what is lost is reported.
func TestDamageMetAtWork(t *testing.T) {
	for _, c := range []struct {
		reason string
		meet   func(ctx context.Context, s *Spool, id mail.ID) error
	}{
		{"listing", func(ctx context.Context, s *Spool, from mail.ID) error {
			_, err := s.Messages(ctx, from, 1000)
			return err
		}},
		{"reading one", func(ctx context.Context, s *Spool, id mail.ID) error {
			_, err := s.Envelope(ctx, id)
			return err
		}},
		{"counting", func(ctx context.Context, s *Spool, _ mail.ID) error {
			return s.Survey(ctx, func(queue.Destination, queue.State, mail.ID) {})
		}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			fs, all := settled(t)
			flip(t, fs, "spool/db/"+lastOf(t, fs, ".sst"), 0.5)
			recovered := newListener("queue_disk_recovered")
			s, err := Open("spool", Options{FS: fs, Logger: slog.New(recovered), Memory: minMemory})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for _, m := range all {
				if err = c.meet(t.Context(), s, m.Envelope.ID); err != nil {
					break
				}
			}
			if !errors.Is(err, queue.ErrDamaged) {
				t.Fatalf("the damage is not met: %v", err)
			}
			awaitRecovery(t, s, recovered)
			if n := s.Reopened(); n != 1 {
				t.Errorf("reopened %d times", n)
			}
			left, err := s.Messages(t.Context(), mail.ID{}, 1000)
			if err != nil || len(left) < len(all)-30 || len(left) == len(all) {
				t.Errorf("%d of %d messages are left (%v)", len(left), len(all), err)
			}
			reported := map[mail.ID]bool{}
			for _, d := range s.Damaged() {
				reported[d.Message] = true
			}
			for _, m := range all {
				if len(left) > 0 && left[0].ID == m.Envelope.ID {
					left = left[1:]
				} else if !reported[m.Envelope.ID] {
					t.Errorf("%s is lost, and not reported", m.Envelope.ID)
				}
			}
		})
	}
}
