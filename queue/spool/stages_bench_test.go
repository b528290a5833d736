package spool

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
)

// BenchmarkSettle stores that a delivery was deferred: what every attempt costs
// that did not end it.
func BenchmarkSettle(b *testing.B) {
	s, err := Open(b.TempDir(), Options{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	m := storetest.NewMessage(rand.New(rand.NewPCG(1, 1)), storetest.Start, 10<<10, storetest.Destination(1))
	n, err := m.Stage(s)
	if err != nil {
		b.Fatal(err)
	}
	defer n.Content.Discard()
	if err := s.Commit(b.Context(), &queue.Change{Create: []queue.NewMessage{n}, Sync: true}); err != nil {
		b.Fatal(err)
	}
	old := m.Deliveries[0]
	b.ReportAllocs()
	for b.Loop() {
		next := *old
		next.State, next.Attempts, next.Due = queue.Deferred, old.Attempts+1, old.Due.Add(time.Minute)
		if err := s.Commit(b.Context(), &queue.Change{Put: []queue.Move{{Old: old, New: &next}}}); err != nil {
			b.Fatal(err)
		}
		old = &next
	}
}
