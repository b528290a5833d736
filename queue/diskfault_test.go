package queue_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// breakdown makes all write operations fail, from one on until it is mended.
type breakdown struct {
	mu    sync.Mutex // guards the rest
	after int        // write operations until it happens; negative: never
	err   error
	hit   bool
}

func (b *breakdown) String() string { return "breakdown" }

// MaybeError implements errorfs.Injector.
func (b *breakdown) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite || op.Kind == errorfs.OpFileClose {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.after < 0 {
		return nil
	}
	if b.after > 0 {
		b.after--
		return nil
	}
	b.hit = true
	return b.err
}

func (b *breakdown) set(after int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.after, b.err, b.hit = after, err, false
}

func (b *breakdown) happened() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.hit
}

// TestDiskFaults breaks the disk in the middle of everything a queue does, at one
// operation after the other. Until it is mended mail is refused with a temporary
// reply and the queue says that it is not ready; afterwards all goes on by
// itself. Nothing that was acknowledged is lost, and nothing is delivered twice:
// the process never ended.
func TestDiskFaults(t *testing.T) {
	for _, c := range []struct {
		reason string
		err    error
		code   int // of the reply to a client
	}{
		{"the disk is full", syscall.ENOSPC, 452},
		{"input/output errors", syscall.EIO, 451},
		{"the file system became read-only", syscall.EROFS, 452},
	} {
		t.Run(c.reason, func(t *testing.T) {
			broken := 0
			r := rand.New(rand.NewPCG(uint64(c.code), uint64(len(c.reason))))
			for after := r.IntN(10); after < 250; after += 1 + r.IntN(20) {
				synctest.Test(t, func(t *testing.T) {
					if breakDisk(t, after, c.err, c.code) {
						broken++
					}
				})
			}
			if broken < 5 {
				t.Errorf("the disk broke only %d times: the test shows little", broken)
			}
		})
	}
}

func breakDisk(t *testing.T, after int, injected error, code int) (broke bool) {
	r := rand.New(rand.NewPCG(uint64(after), 11))
	world, disk := newLedger(), &breakdown{after: -1}
	m := boot(t, errorfs.Wrap(vfs.NewMem(), disk), world)
	disk.set(after, injected)
	for n := 0; n < 40 && !disk.happened(); n++ {
		_, _ = world.submit(m.Queue, someLetter(r, n))
		time.Sleep(time.Duration(r.IntN(30)) * time.Second)
	}
	if broke = disk.happened(); broke {
		m.suffer(r, code)
	}
	disk.set(-1, nil)
	began := time.Now()
	for m.Ready() != nil {
		if time.Since(began) > time.Minute {
			t.Fatalf("fault at operation %d: a minute after the disk was mended: %v", after, m.Ready())
		}
		time.Sleep(time.Second)
	}
	if _, err := world.submit(m.Queue, someLetter(r, 1000)); err != nil {
		t.Errorf("with the disk mended: %v", err)
	}
	m.runOut()
	m.shutDown()
	if lost := world.lost(newLedger()); len(lost) > 0 {
		t.Errorf("fault at operation %d: lost %v", after, lost)
	}
	for to, n := range world.taken {
		if n > 1 {
			t.Errorf("fault at operation %d: %s was delivered to %d times", after, to, n)
		}
	}
	return broke
}

// TestOneFailedWrite has one write fail under a change that may be on the disk
// nevertheless. Whether it is or not: within the hour everybody has been told, and
// nothing is left that nobody attempts.
func TestOneFailedWrite(t *testing.T) {
	all := queue.Selector{All: true}
	for _, c := range []struct {
		reason string
		to     []string
		do     func(*machine) (int, error)
	}{
		{"an operator bounces", []string{"good@a.example"}, func(m *machine) (int, error) { return m.Bounce(context.Background(), all) }},
		{"an operator releases", []string{"good@a.example"}, func(m *machine) (int, error) { return m.Release(context.Background(), all) }},
		{"an attempt fails for one and is deferred for another", []string{"bad@a.example", "late@a.example"},
			func(m *machine) (int, error) { return m.Release(context.Background(), all) }},
	} {
		t.Run(c.reason, func(t *testing.T) {
			for after := range 10 {
				synctest.Test(t, func(t *testing.T) {
					world, disk := newLedger(), &breakdown{after: -1}
					m := boot(t, errorfs.Wrap(vfs.NewMem(), disk), world)
					defer m.shutDown()
					if _, err := world.submit(m.Queue, letter{size: 100, to: c.to, disposition: queue.Hold}); err != nil {
						t.Fatal(err)
					}
					disk.set(after, syscall.EIO)
					_, err := c.do(m)
					synctest.Wait()
					disk.set(-1, nil)
					time.Sleep(10 * time.Second)
					if err != nil {
						_, _ = c.do(m) // as an operator does who was told so
					}
					time.Sleep(time.Hour)
					if n := m.Totals().Messages; n != 0 {
						t.Errorf("write %d: %d messages are left", after, n)
					}
					for _, to := range c.to {
						if n := world.taken[to]; n > 1 || n == 0 && !world.reported[to] {
							t.Errorf("write %d: %s was delivered to %d times, reported %v", after, to, n, world.reported[to])
						}
					}
				})
			}
		})
	}
}

func someLetter(r *rand.Rand, n int) letter {
	l := letter{size: r.IntN(2000)}
	if r.IntN(4) == 0 {
		l.size += 64 << 10
	}
	for i := range 1 + r.IntN(2) {
		kind := []string{"good", "late", "bad"}[r.IntN(3)]
		l.to = append(l.to, fmt.Sprintf("%s%d-%d@d%d.example", kind, n, i, r.IntN(3)))
	}
	return l
}

// suffer is what a queue does while its disk fails.
func (m *machine) suffer(r *rand.Rand, code int) {
	m.t.Helper()
	for n := range 5 {
		_, err := m.world.submit(m.Queue, someLetter(r, 2000+n))
		if err == nil {
			m.t.Error("a message is acknowledged while the disk fails")
		}
		var refusal *mail.Error
		if !errors.As(err, &refusal) || refusal.Reply.Code != code {
			m.t.Errorf("a client is answered %v, want %d", err, code)
		}
		if m.Ready() == nil {
			m.t.Error("ready while the disk fails")
		}
		time.Sleep(20 * time.Second)
	}
}
