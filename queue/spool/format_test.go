package spool

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
)

var update = flag.Bool("update", false, "write the sample of the current format anew; never for a released one")

// TestFormatSamples opens a spool of each format that was ever released. The
// samples stay as they are for ever.
func TestFormatSamples(t *testing.T) {
	if *update {
		writeSample(t, filepath.Join("testdata", "format-1"))
	}
	for _, format := range []string{"format-1"} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", format))); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, Options{Logger: quiet, Memory: minMemory})
		if err != nil {
			t.Fatal(err)
		}
		model := storetest.NewModel()
		for _, m := range sampleMessages() {
			model.Add(m)
		}
		if err := model.Compare(t.Context(), s); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		if value, err := s.Meta(t.Context(), "sample"); err != nil || string(value) != "value" {
			t.Errorf("%s: meta %q (%v)", format, value, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// sampleMessages are what a sample holds: one delivery that nobody touched, one
// that was deferred, one of several deliveries in all states, one in a file.
func sampleMessages() []*storetest.Message {
	r := rand.New(rand.NewPCG(1, 1))
	var all []*storetest.Message
	for i, size := range []int{100, 1000, 10, 64<<10 + 1} {
		to := []queue.Destination{storetest.Destination(i)}
		if size == 10 {
			to = append(to, storetest.Destination(1), storetest.Destination(2))
		}
		at := storetest.Start.Add(time.Duration(i) * time.Second)
		m := storetest.NewMessage(r, at, size, to...)
		m.Envelope.ID = mail.FirstID(at)
		for _, d := range m.Deliveries {
			d.Message = m.Envelope.ID
		}
		if size > smallContent {
			clear(m.Content) // so that the sample packs well
		}
		all = append(all, m)
	}
	all[1].Deliveries[0] = storetest.Changed(all[1].Deliveries[0], func(d *queue.Delivery) {
		d.State, d.Attempts, d.Due, d.InDoubt, d.Warned = queue.Deferred, 2, d.Due.Add(time.Hour), "mx.example", true
		d.Recipients[0] = queue.RecipientState{
			State: queue.Deferred, Host: "mx.example", Reason: "timeout", At: storetest.Start,
			Reply: mail.Reply{Code: 421, Enhanced: mail.EnhancedCode{4, 2, 1}, Text: "busy"},
		}
	})
	for i, state := range []queue.State{queue.Held, queue.Captured, queue.Dead} {
		all[2].Deliveries[i].State = state
	}
	return all
}

func writeSample(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	open := func() *Spool {
		s, err := Open(dir, Options{FS: vfs.Default, Logger: quiet, Memory: minMemory, Reserve: -1})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	for i, m := range sampleMessages() {
		final := m.Deliveries
		if i == 1 { // it was accepted before it was deferred
			first := storetest.Changed(final[0], func(d *queue.Delivery) { d.State, d.Attempts = queue.Active, 0 })
			m.Deliveries = []*queue.Delivery{first}
		}
		m.Create(t, s)
		if i == 1 {
			move := queue.Move{Old: m.Deliveries[0], New: final[0]}
			if err := s.Commit(t.Context(), &queue.Change{Put: []queue.Move{move}, Meta: map[string][]byte{"sample": []byte("value")}, Sync: true}); err != nil {
				t.Fatal(err)
			}
			// What comes before lies in a table, what comes after in the log.
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open()
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{lockName, holderName, filepath.Join(dbName, lockName)} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}
