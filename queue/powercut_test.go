package queue_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
)

// domains routes each recipient by its domain.
type domains struct{}

func (domains) Concurrency(queue.Destination) int { return 0 }

func (domains) Destination(_ *mail.Envelope, a mail.Address) queue.Destination {
	return queue.Destination{Route: "mx", Domain: a.Domain}
}

// machine is a running queue on a real spool with everything around it.
type machine struct {
	*queue.Queue
	t     *testing.T
	store *spool.Spool
	world *ledger
}

func boot(t *testing.T, fs vfs.FS, world *ledger) *machine {
	t.Helper()
	return bootWith(t, spool.Options{FS: fs, Reserve: -1}, world)
}

func bootWith(t *testing.T, o spool.Options, world *ledger) *machine {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	o.Logger, o.Memory = logger, 4<<20
	store, err := spool.Open("spool", o)
	if err != nil {
		t.Fatal(err)
	}
	q := queue.New(store, queue.Options{
		Hostname: "relay.example", Postmaster: mail.MustParseAddress("postmaster@relay.example"),
		Router: domains{}, Deliverer: world, Recorder: world, Logger: logger,
		Retry: config.Retry{Intervals: []time.Duration{time.Minute}, Lifetime: 24 * time.Hour},
	})
	if err := q.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return &machine{q, t, store, world}
}

func (m *machine) shutDown() {
	m.t.Helper()
	if err := m.Stop(context.Background()); err != nil {
		m.t.Error(err)
	}
	if err := m.store.Close(); err != nil {
		m.t.Error(err)
	}
}

// runOut releases and retries everything and waits until nothing is left.
func (m *machine) runOut() {
	m.t.Helper()
	m.world.mu.Lock()
	m.world.open = true
	m.world.mu.Unlock()
	all := queue.Selector{All: true}
	for _, command := range []func(context.Context, queue.Selector) (int, error){m.Release, m.Retry} {
		if _, err := command(context.Background(), all); err != nil {
			m.t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Hour); m.Totals().Messages > 0; time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			list, _, _ := m.List(context.Background(), all, queue.DeliveryKey{}, 3)
			m.t.Fatalf("%d messages are left, the first: %+v", m.Totals().Messages, list)
		}
	}
}

// cutter takes pictures of a file system just before its writes: what is there
// when the power comes back, and what the world knew when it went.
type cutter struct {
	fs    *vfs.MemFS
	world *ledger

	mu     sync.Mutex // guards the rest
	r      *rand.Rand
	chance float64
	cuts   []cut
}

type cut struct {
	op    errorfs.Op
	fs    *vfs.MemFS
	knew  *ledger
	share int // percent of what was not synced that may be there
}

func (c *cutter) String() string { return "cutter" }

// MaybeError implements errorfs.Injector. It injects nothing.
func (c *cutter) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.r.Float64() >= c.chance {
		return nil
	}
	share := []int{0, 0, 50, 100}[c.r.IntN(4)]
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: share}
	if share > 0 {
		cfg.RNG = c.r
	}
	// Nobody learns anything while the picture is taken.
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	c.cuts = append(c.cuts, cut{op, c.fs.CrashClone(cfg), c.world.picture(), share})
	return nil
}

// history hands in mail of all kinds, large and small, and interferes as an
// operator does.
func (m *machine) history(r *rand.Rand, letters int) {
	m.t.Helper()
	var ids []mail.ID
	recipients := map[mail.ID][]string{}
	for n := range letters {
		l := letter{size: r.IntN(2000)}
		if r.IntN(6) == 0 {
			l.size += 64 << 10 // in a file of its own
		}
		if r.IntN(8) == 0 {
			l.disposition = queue.Hold
		}
		for i := range 1 + r.IntN(3) {
			kind := []string{"good", "good", "late", "bad"}[r.IntN(4)]
			l.to = append(l.to, fmt.Sprintf("%s%d-%d@d%d.example", kind, n, i, r.IntN(3)))
		}
		id, err := m.world.submit(m.Queue, l)
		if err != nil {
			m.t.Fatal(err)
		}
		ids, recipients[id] = append(ids, id), l.to
		m.interfere(r, ids[r.IntN(len(ids))], recipients)
		if r.IntN(4) == 0 {
			time.Sleep(time.Duration(r.IntN(60)) * time.Second)
		}
	}
}

func (m *machine) interfere(r *rand.Rand, id mail.ID, recipients map[mail.ID][]string) {
	m.t.Helper()
	one := queue.Selector{IDs: []mail.ID{id}}
	var err error
	switch r.IntN(10) {
	case 0:
		_, err = m.Hold(context.Background(), one)
	case 1:
		_, err = m.Release(context.Background(), one)
	case 2:
		_, err = m.Retry(context.Background(), one)
	case 3:
		_, err = m.Bounce(context.Background(), one)
	case 4:
		m.world.mu.Lock()
		for _, to := range recipients[id] {
			m.world.deleted[to] = true // from now on it may be either way
		}
		m.world.mu.Unlock()
		_, err = m.Delete(context.Background(), one)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// TestPowerCuts cuts the power at writes of accepting, settling, bouncing, holding,
// releasing, deleting, with small contents and with files. Afterwards each
// recipient of each acknowledged message is delivered to or reported as failed,
// and none that was settled before a synced commit comes back.
func TestPowerCuts(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { cutPower(t, seed) })
		})
	}
}

func cutPower(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 3))
	world := newLedger()
	c := &cutter{fs: vfs.NewCrashableMem(), world: world, r: rand.New(rand.NewPCG(seed, 5)), chance: 0.12}
	m := boot(t, errorfs.Wrap(c.fs, c), world)
	m.history(r, 120)
	m.shutDown()
	c.mu.Lock()
	cuts := c.cuts
	c.mu.Unlock()
	for _, cut := range cuts {
		after := newLedger()
		m := boot(t, cut.fs, after)
		if d := m.store.Damaged(); len(d) > 0 {
			t.Errorf("damage after a power cut before %v: %v", cut.op, d)
		}
		m.runOut()
		m.shutDown()
		if lost := cut.knew.lost(after); len(lost) > 0 {
			t.Fatalf("a power cut before %v, %d%% of the unsynced kept: %d of %d recipients lost: %v",
				cut.op, cut.share, len(lost), len(cut.knew.acknowledged), lost)
		}
		if back := cut.knew.resurrected(after); len(back) > 0 {
			t.Fatalf("a power cut before %v, %d%% of the unsynced kept: %v came back", cut.op, cut.share, back)
		}
	}
	t.Logf("%d power cuts, %d recipients", len(cuts), len(world.acknowledged))
	if len(cuts) < 20 {
		t.Errorf("only %d power cuts: the test shows little", len(cuts))
	}
}
