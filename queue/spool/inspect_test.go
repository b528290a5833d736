package spool

import (
	"errors"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
)

func inspect(t *testing.T, fs vfs.FS) (found []queue.Damage) {
	t.Helper()
	err := Inspect(t.Context(), "spool", Options{FS: fs, Logger: quiet, Memory: minMemory}, func(d queue.Damage) { found = append(found, d) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestInspect: each kind of damage is reported once, with all that is known of it,
// and not an octet of the spool is changed. A relay that runs reports the same.
func TestInspect(t *testing.T) {
	for _, c := range []struct {
		reason string
		size   int // of the messages
		hurt   func(t *testing.T, fs vfs.FS, id mail.ID)
		what   string // of the fault; empty if there is none
		named  bool   // it names the message and its envelope
		online bool   // it is found while the relay runs too
	}{
		{"nothing", 200_000, func(*testing.T, vfs.FS, mail.ID) {}, "", false, true},
		{"content file cut short", 200_000, func(t *testing.T, fs vfs.FS, id mail.ID) {
			overwrite(t, fs, "spool/content/"+id.String(), []byte("some"))
		}, "4 octets instead of 200000", true, true},
		{"content file is gone", 200_000, func(t *testing.T, fs vfs.FS, id mail.ID) {
			if err := fs.Remove("spool/content/" + id.String()); err != nil {
				t.Fatal(err)
			}
		}, "missing", true, true},
		{"content file with another octet", 200_000, func(t *testing.T, fs vfs.FS, id mail.ID) {
			flip(t, fs, "spool/content/"+id.String(), 0.5)
		}, "checksum", true, true},
		{"blob file", 5_000, func(t *testing.T, fs vfs.FS, _ mail.ID) {
			flip(t, fs, "spool/db/"+lastOf(t, fs, ".blob"), 0.1)
		}, "", true, true},
		{"manifest", 5_000, func(t *testing.T, fs vfs.FS, _ mail.ID) {
			flip(t, fs, "spool/db/"+lastOf(t, fs, "MANIFEST"), 0.5)
		}, "unexpected EOF", false, false},
		{"table", 5_000, func(t *testing.T, fs vfs.FS, _ mail.ID) {
			flip(t, fs, "spool/db/"+lastOf(t, fs, ".sst"), 0.1)
		}, "mismatch", false, false},
		{"orphan", 200_000, func(t *testing.T, fs vfs.FS, _ mail.ID) {
			overwrite(t, fs, "spool/content/"+mail.NewID(storetest.Start).String(), []byte("x"))
		}, "no message names it", false, false},
	} {
		t.Run(c.reason, func(t *testing.T) {
			fs := vfs.NewMem()
			hurt, _ := twoMessages(t, fs, c.size)
			mustOpen(t, fs, "spool").Close() // makes a table of the log
			id := hurt.Envelope.ID
			s := mustOpen(t, fs, "spool")
			if !c.online {
				s.Close()
			}
			c.hurt(t, fs, id)
			if c.online {
				checkFound(t, faultsFound(t, s), c.what, c.named, hurt)
				s.Close()
			}
			before := tree(t, fs, "spool")
			checkFound(t, inspect(t, fs), c.what, c.named, hurt)
			if after := tree(t, fs, "spool"); !maps.Equal(before, after) {
				t.Errorf("files were changed: %v, now %v", before, after)
			}
		})
	}
}

func checkFound(t *testing.T, found []queue.Damage, what string, named bool, hurt *storetest.Message) {
	t.Helper()
	times := map[string]int{}
	matches := 0
	for _, d := range found {
		times[d.Where+d.Message.String()]++
		if d.Remedy == "" || d.Where == "" {
			t.Errorf("no word about what to do, or where: %+v", d)
		}
		if strings.Contains(d.What, what) && (!named || d.Message == hurt.Envelope.ID && d.From == "<sender@example.org>" && d.To != "") {
			matches++
		}
	}
	for where, n := range times {
		if n != 1 {
			t.Errorf("%s reported %d times", where, n)
		}
	}
	if wanted := what != "" || named; wanted != (matches > 0) || !wanted && len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}

// TestInspectDamagedLog: what comes before the damage is looked at, as Open would.
func TestInspectDamagedLog(t *testing.T) {
	fs, _ := filled(t)
	flip(t, fs, "spool/db/"+lastOf(t, fs, ".log"), 0.5)
	before := tree(t, fs, "spool")
	found := inspect(t, fs)
	if len(found) != 1 || !strings.HasSuffix(found[0].Where, ".log") || !strings.Contains(found[0].What, "octet") {
		t.Errorf("found %+v", found)
	}
	if after := tree(t, fs, "spool"); !maps.Equal(before, after) {
		t.Error("files were changed")
	}
}

// TestInspectLocked: a spool that is in use is left alone.
func TestInspectLocked(t *testing.T) {
	fs := vfs.NewMem()
	mustOpen(t, fs, "spool")
	err := Inspect(t.Context(), "spool", Options{FS: fs, Logger: quiet}, func(queue.Damage) {}, nil)
	var locked *LockedError
	if !errors.As(err, &locked) {
		t.Error(err)
	}
}

// TestInspectHoldsTheLock: who starts meanwhile is told who is at it, not who was
// before.
func TestInspectHoldsTheLock(t *testing.T) {
	fs := vfs.NewMem()
	twoMessages(t, fs, 200_000)
	overwrite(t, fs, "spool/"+holderName, []byte("4242 elsewhere 2026-11-01T00:00:00Z\n"))
	overwrite(t, fs, "spool/content/"+mail.NewID(storetest.Start).String(), []byte("x"))
	tried := false
	err := Inspect(t.Context(), "spool", Options{FS: fs, Logger: quiet, Memory: minMemory}, func(queue.Damage) {
		tried = true
		_, err := Open("spool", Options{FS: fs, Logger: quiet, Memory: minMemory})
		var locked *LockedError
		if !errors.As(err, &locked) || locked.PID != os.Getpid() {
			t.Errorf("a start meanwhile: %v", err)
		}
	}, nil)
	if err != nil || !tried {
		t.Errorf("%v (tried: %t)", err, tried)
	}
}
