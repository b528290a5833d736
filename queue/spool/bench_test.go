package spool

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
)

// BenchmarkCommit stores messages of 10 KB durably and removes them, as if each
// were delivered at the first attempt.
func BenchmarkCommit(b *testing.B) {
	for _, workers := range []int{1, 10, 50} {
		b.Run(fmt.Sprintf("goroutines=%d", workers), func(b *testing.B) {
			s, err := Open(b.TempDir(), Options{Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.ReportAllocs()
			template := storetest.NewMessage(rand.New(rand.NewPCG(1, 1)), storetest.Start, 10<<10, storetest.Destination(1))
			var left atomic.Int64
			left.Store(int64(b.N))
			done := make(chan error)
			b.ResetTimer()
			for range workers {
				go func() {
					var err error
					for err == nil && left.Add(-1) >= 0 {
						err = acceptAndDeliver(b, s, template)
					}
					done <- err
				}()
			}
			for range workers {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

func acceptAndDeliver(b *testing.B, s *Spool, template *storetest.Message) error {
	e, d := *template.Envelope, *template.Deliveries[0]
	e.ID = mail.NewID(time.Now())
	d.Message = e.ID
	m := storetest.Message{Envelope: &e, Deliveries: []*queue.Delivery{&d}, Content: template.Content}
	n, err := m.Stage(s)
	if err != nil {
		return err
	}
	defer n.Content.Discard()
	if err := s.Commit(b.Context(), &queue.Change{Create: []queue.NewMessage{n}, Sync: true}); err != nil {
		return err
	}
	c, err := n.Content.Content()
	if err != nil {
		return err
	}
	if err := c.Close(); err != nil {
		return err
	}
	return s.Commit(b.Context(), &queue.Change{Remove: m.Deliveries})
}

// fill puts n deferred messages of size octets for 1,000 destinations into s.
func fill(b *testing.B, s *Spool, n, size int) {
	r := rand.New(rand.NewPCG(1, 1))
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	for i := 0; i < n; {
		c := &queue.Change{}
		for range min(500, n-i) {
			m := storetest.NewMessage(r, storetest.Start.Add(time.Duration(i)*time.Millisecond), 0, storetest.Destination(1+i%1000))
			m.Content = content
			d := m.Deliveries[0]
			d.State, d.Attempts, d.Due = queue.Deferred, 1, m.Envelope.Arrival.Add(time.Hour)
			n, err := m.Stage(s)
			if err != nil {
				b.Fatal(err)
			}
			c.Create = append(c.Create, n)
			i++
		}
		if err := s.Commit(b.Context(), c); err != nil {
			b.Fatal(err)
		}
		for _, n := range c.Create {
			n.Content.Discard()
		}
	}
}

// BenchmarkDue reads 100 places from the middle of a lane among 100,000
// deferred deliveries.
func BenchmarkDue(b *testing.B) {
	s, err := Open("spool", Options{FS: vfs.NewMem(), Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	fill(b, s, 100_000, 200)
	lane := queue.Lane{Destination: storetest.Destination(7), Identity: "app", Class: queue.ClassRetry}
	after, err := s.Due(b.Context(), lane, queue.Place{}, storetest.Start.Add(24*time.Hour), 50)
	if err != nil || len(after) != 50 {
		b.Fatal(len(after), err)
	}
	b.ReportAllocs()
	for b.Loop() {
		got, err := s.Due(b.Context(), lane, after[49], storetest.Start.Add(24*time.Hour), 100)
		if err != nil || len(got) != 50 {
			b.Fatal(len(got), err)
		}
	}
}

// BenchmarkOpen opens a spool with deferred messages and reads what a scheduler
// begins with: the lanes.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{0, 100_000} {
		b.Run(fmt.Sprintf("deferred=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			s, err := Open(dir, Options{Logger: quiet})
			if err != nil {
				b.Fatal(err)
			}
			fill(b, s, n, 1000)
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				s, err := Open(dir, Options{Logger: quiet})
				if err != nil {
					b.Fatal(err)
				}
				lanes := 0
				err = s.Lanes(b.Context(), func(queue.Lane, time.Time) error { lanes++; return nil })
				if err != nil || lanes != min(n, 1000) {
					b.Fatal(lanes, err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
