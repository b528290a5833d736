package spool

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
)

// overwrite replaces a file's content.
func overwrite(t *testing.T, fs vfs.FS, name string, data []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func faultsFound(t *testing.T, s *Spool) (found []queue.Damage) {
	t.Helper()
	if err := s.Verify(t.Context(), func(d queue.Damage) { found = append(found, d) }, nil); err != nil {
		t.Fatal(err)
	}
	return found
}

// twoMessages returns a store's place with a message that will be damaged and
// one that must not suffer from it.
func twoMessages(t *testing.T, fs vfs.FS, size int) (hurt, well *storetest.Message) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 1))
	s := mustOpen(t, fs, "spool")
	hurt = storetest.NewMessage(r, storetest.Start, size, storetest.Destination(1), storetest.Destination(2))
	well = storetest.NewMessage(r, storetest.Start, size, storetest.Destination(1))
	hurt.Create(t, s)
	well.Create(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return hurt, well
}

func read(t *testing.T, s *Spool, id mail.ID) (string, error) {
	t.Helper()
	c, err := s.Content(t.Context(), id)
	if err != nil {
		return "", err
	}
	defer c.Close()
	data, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	return string(data), err
}

// TestContentDamagedAtStart: the message goes to the operator, what is left of
// the file is kept, and everything else goes on.
func TestContentDamagedAtStart(t *testing.T) {
	for _, c := range []struct {
		reason string
		hurt   func(t *testing.T, fs vfs.FS, name string)
		what   string
		kept   bool
	}{
		{"file is gone", func(t *testing.T, fs vfs.FS, name string) {
			if err := fs.Remove(name); err != nil {
				t.Fatal(err)
			}
		}, "missing", false},
		{"file is cut short", func(t *testing.T, fs vfs.FS, name string) {
			overwrite(t, fs, name, []byte("some"))
		}, "cut short", true},
		{"file is longer", func(t *testing.T, fs vfs.FS, name string) {
			overwrite(t, fs, name, make([]byte, 300_000))
		}, "longer", true},
	} {
		t.Run(c.reason, func(t *testing.T) {
			fs := vfs.NewMem()
			hurt, well := twoMessages(t, fs, 200_000)
			id := hurt.Envelope.ID
			c.hurt(t, fs, "spool/content/"+id.String())

			s := mustOpen(t, fs, "spool")
			damage := s.Damaged()
			if len(damage) != 1 || damage[0].Message != id || !strings.Contains(damage[0].What, c.what) || (damage[0].MovedTo != "") != c.kept {
				t.Errorf("reported: %+v", damage)
			}
			if _, err := fs.Stat("spool/damaged/" + id.String()); (err == nil) != c.kept {
				t.Errorf("the file moved aside: %v", err)
			}
			dead, err := s.InState(t.Context(), queue.Dead, queue.DeliveryKey{}, 10)
			if err != nil || len(dead) != 2 || dead[0].Message != id {
				t.Errorf("dead: %v (%v)", dead, err)
			}
			places, err := s.Due(t.Context(), well.Deliveries[0].Lane(), queue.Place{}, storetest.Start, 10)
			if err != nil || len(places) != 1 || places[0].Message != well.Envelope.ID {
				t.Errorf("still to be delivered: %v (%v)", places, err)
			}
			if _, err := s.Content(t.Context(), id); !errors.Is(err, queue.ErrDamaged) {
				t.Errorf("its content: %v", err)
			}
			if data, err := read(t, s, well.Envelope.ID); err != nil || data != string(well.Content) {
				t.Errorf("the other content: %v", err)
			}
			// The operator gives up on it.
			if err := s.Commit(t.Context(), &queue.Change{Remove: hurt.Deliveries}); err != nil {
				t.Error(err)
			}
			if found := faultsFound(t, s); len(found) != 0 {
				t.Errorf("afterwards: %v", found)
			}
		})
	}
}

// TestContentDamagedInPlace: wrong octets of the right number are noticed before
// the last of them is handed out, and by Verify.
func TestContentDamagedInPlace(t *testing.T) {
	fs := vfs.NewMem()
	hurt, well := twoMessages(t, fs, 200_000)
	id := hurt.Envelope.ID
	bad := append([]byte(nil), hurt.Content...)
	bad[100_000] ^= 1
	overwrite(t, fs, "spool/content/"+id.String(), bad)

	s := mustOpen(t, fs, "spool")
	if found := faultsFound(t, s); len(found) != 1 || found[0].Message != id {
		t.Errorf("verify: %v", found)
	}
	if data, err := read(t, s, id); !errors.Is(err, queue.ErrDamaged) || len(data) >= len(bad) {
		t.Errorf("%d octets read: %v", len(data), err)
	}
	if damage := s.Damaged(); len(damage) != 1 || damage[0].Message != id {
		t.Errorf("reported: %v", damage)
	}
	if _, err := read(t, s, well.Envelope.ID); err != nil {
		t.Error(err)
	}
}

// TestRecordDamaged: a record that can't be decoded is moved aside with all
// places of its message when it is met.
func TestRecordDamaged(t *testing.T) {
	for _, c := range []struct {
		reason string
		key    func(id mail.ID) []byte
	}{
		{"message record", func(id mail.ID) []byte { return appendIDKey(nil, tableMessage, id) }},
		{"delivery record", func(id mail.ID) []byte { return appendDeliveryKey(nil, queue.DeliveryKey{Message: id, Number: 1}) }},
	} {
		t.Run(c.reason, func(t *testing.T) {
			fs := vfs.NewMem()
			hurt, well := twoMessages(t, fs, 100)
			id := hurt.Envelope.ID
			s := mustOpen(t, fs, "spool")
			if err := s.current.db.Set(c.key(id), []byte("\xffnonsense"), pebble.Sync); err != nil {
				t.Fatal(err)
			}
			if found := faultsFound(t, s); len(found) == 0 || found[0].Message != id {
				t.Errorf("verify: %v", found)
			}
			if _, err := s.Deliveries(t.Context(), id); !errors.Is(err, queue.ErrDamaged) {
				t.Errorf("reading it: %v", err)
			}
			damage := s.Damaged()
			if len(damage) != 1 || damage[0].Message != id || damage[0].MovedTo == "" {
				t.Errorf("reported: %+v", damage)
			}
			if _, err := s.Envelope(t.Context(), id); !errors.Is(err, queue.ErrNotFound) || !strings.Contains(err.Error(), "moved aside") {
				t.Errorf("reading it again: %v", err)
			}
			for _, d := range hurt.Deliveries {
				places, err := s.Due(t.Context(), d.Lane(), queue.Place{}, storetest.Start, 10)
				if err != nil || len(places) > 1 || (len(places) == 1 && places[0].Message != well.Envelope.ID) {
					t.Errorf("still in the way: %v (%v)", places, err)
				}
			}
			if total := s.Totals(); total.Messages != 1 || total.Bytes != 100 {
				t.Errorf("totals %+v", total)
			}
			for _, d := range faultsFound(t, s) {
				if d.What != "was moved aside earlier" {
					t.Errorf("verify afterwards: %v", d)
				}
			}
			if was, err := s.Forget(t.Context(), id); err != nil || !was {
				t.Errorf("forgetting it: %t (%v)", was, err)
			}
			if found := faultsFound(t, s); len(found) > 0 {
				t.Errorf("verify when it is forgotten: %v", found)
			}
			if _, err := s.Envelope(t.Context(), id); strings.Contains(err.Error(), "aside") {
				t.Errorf("reading it when it is forgotten: %v", err)
			}
			if was, err := s.Forget(t.Context(), well.Envelope.ID); err != nil || was {
				t.Errorf("forgetting what is well: %t (%v)", was, err)
			}
		})
	}
}

// TestContentOutlivesItsRecords: when the records of a message in a file are moved
// aside its content is kept, until it is forgotten.
func TestContentOutlivesItsRecords(t *testing.T) {
	fs := vfs.NewMem()
	hurt, well := twoMessages(t, fs, 200_000)
	id := hurt.Envelope.ID
	s := mustOpen(t, fs, "spool")
	b, key := s.current.db.NewBatch(), appendIDKey(nil, tableMessage, id)
	_, _ = b.Delete(key, nil), b.Set(key, []byte("\xffnonsense"), nil) // it is removed as what was written once
	if err := s.current.db.Apply(b, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Envelope(t.Context(), id); !errors.Is(err, queue.ErrDamaged) {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, fs, "spool")
	if aside := idsAmong(t, fs, "spool/damaged"); len(aside) != 1 || aside[0] != id {
		t.Errorf("aside: %v", aside)
	}
	if was, err := s.Forget(t.Context(), id); err != nil || !was {
		t.Errorf("forgetting it: %t (%v)", was, err)
	}
	left := append(idsAmong(t, fs, "spool/damaged"), idsAmong(t, fs, "spool/content")...)
	if len(left) != 1 || left[0] != well.Envelope.ID {
		t.Errorf("left: %v", left)
	}
	if found := faultsFound(t, s); len(found) > 0 {
		t.Errorf("verify: %v", found)
	}
}

// TestDamageBehindAFailedDisk: a record that can't be read does not keep the next
// generation from opening, though there is something to do again about it.
func TestDamageBehindAFailedDisk(t *testing.T) {
	fs := vfs.NewMem()
	disk := &faults{after: -1}
	hurt, well := twoMessages(t, fs, 100)
	recovered := newListener("queue_disk_recovered")
	s, err := Open("spool", Options{FS: errorfs.Wrap(fs, disk), Logger: slog.New(recovered), Memory: minMemory})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Commit(t.Context(), &queue.Change{Remove: hurt.Deliveries[:1]}); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), &queue.Change{Remove: well.Deliveries}); err != nil {
		t.Fatal(err)
	}
	key := appendIDKey(nil, tableMessage, hurt.Envelope.ID)
	if err := s.current.db.Set(key, []byte("\xffnonsense"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	s.refusedMu.Lock()
	s.refused = append(s.refused, hurt.Envelope.ID)
	s.refusedMu.Unlock()
	disk.set(0, 1, syscall.EIO)
	if err := s.Commit(t.Context(), &queue.Change{Meta: map[string][]byte{"a": nil}, Sync: true}); err == nil {
		t.Fatal("the disk did not fail: the test shows nothing")
	}
	awaitRecovery(t, s, recovered)
	if d := s.Damaged(); len(d) == 0 || d[0].Message != hurt.Envelope.ID {
		t.Errorf("reported: %+v", d)
	}
	if _, err := s.Envelope(t.Context(), well.Envelope.ID); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("what had ended beside it: %v", err)
	}
}

func TestOrphansAreSwept(t *testing.T) {
	fs := vfs.NewMem()
	_, _ = twoMessages(t, fs, 200_000)
	overwrite(t, fs, "spool/content/"+mail.NewID(storetest.Start).String(), []byte("x"))
	overwrite(t, fs, "spool/content/"+stagePrefix+"1", []byte("x"))
	s := mustOpen(t, fs, "spool")
	names, err := fs.List("spool/content")
	if err != nil || len(names) != 2 {
		t.Errorf("%v (%v)", names, err)
	}
	if len(s.Damaged()) != 0 {
		t.Errorf("orphans are no damage: %v", s.Damaged())
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, fs, "spool")
	if err := s.current.db.Set([]byte{tableFormat}, []byte{formatVersion + 1}, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("spool", Options{FS: fs, Logger: quiet}); err == nil || !strings.Contains(err.Error(), "format") {
		t.Errorf("opened: %v", err)
	}
}
