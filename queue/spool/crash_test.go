package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/postrider/postrider/queue/storetest"
)

// thinning is how many moments of a history these tests leave out for each that
// they look at. With 1 they look at all, which takes minutes.
const thinning = 12

// camera takes pictures of a file system just before its write operations: what
// would be there if the power went at that moment.
type camera struct {
	mu      sync.Mutex
	fs      *vfs.MemFS
	r       *rand.Rand
	chance  float64 // of a picture before an operation
	percent []int   // of what is not synced that a picture may hold
	taken   []*vfs.MemFS
}

func (c *camera) String() string { return "camera" }

// MaybeError implements errorfs.Injector. It injects nothing.
func (c *camera) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.r.Float64() < c.chance {
		cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: c.percent[c.r.IntN(len(c.percent))]}
		if cfg.UnsyncedDataPercent > 0 {
			cfg.RNG = c.r
		}
		c.taken = append(c.taken, c.fs.CrashClone(cfg))
	}
	return nil
}

func (c *camera) develop() []*vfs.MemFS {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.taken
	c.taken = nil
	return taken
}

// TestPowerCut plays random histories and cuts the power before their writes,
// syncs, renames and removals. What comes back must be the history up to some
// step that is not before the last synced one, and whole: every method and
// Verify agree on it.
func TestPowerCut(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed_", seed), func(t *testing.T) {
			t.Parallel()
			playWithPowerCuts(t, seed)
		})
	}
}

func playWithPowerCuts(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	c := &camera{fs: vfs.NewCrashableMem(), r: rand.New(rand.NewPCG(seed, 8)), chance: 1.0 / thinning, percent: []int{0, 0, 50, 100}}
	s := mustOpen(t, errorfs.Wrap(c.fs, c), "spool")
	script := storetest.NewScript(seed)
	possible := []*storetest.Model{script.Model} // since the last sync
	for range 60 {
		step := script.Next()
		if err := step.Do(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		possible = append(possible, step.After)
		for _, crashed := range c.develop() {
			checkCrashed(t, step.Name, crashed, possible, r.IntN(8) == 0)
		}
		script.Model = step.After
		if step.Sync {
			possible = possible[len(possible)-1:]
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	possible = []*storetest.Model{script.Model} // Close has synced
	checkCrashed(t, "close", c.fs.CrashClone(vfs.CrashCloneCfg{}), possible, true)
}

// checkCrashed opens what a power cut left and compares it with what may be
// there. With again, the power goes once more while it is opened.
func checkCrashed(t *testing.T, during string, fs *vfs.MemFS, possible []*storetest.Model, again bool) {
	t.Helper()
	if again {
		r := rand.New(rand.NewPCG(1, 1))
		c := &camera{fs: fs, r: r, chance: 0.1, percent: []int{0, 50}}
		openAndCompare(t, during+", then during open", errorfs.Wrap(fs, c), possible)
		for _, crashed := range c.develop() {
			openAndCompare(t, during+", then during open", crashed, possible)
		}
		return
	}
	openAndCompare(t, during, fs, possible)
}

func openAndCompare(t *testing.T, during string, fs vfs.FS, possible []*storetest.Model) {
	t.Helper()
	s, err := Open("spool", Options{FS: fs, Logger: quiet, Memory: minMemory, Reserve: 64 << 10})
	if err != nil {
		t.Fatalf("open after a power cut during %s: %v", during, err)
	}
	defer s.Close()
	var differ []error
	for _, m := range possible {
		err := m.Compare(t.Context(), s)
		if err == nil {
			checkFiles(t, s, fs, m)
			return
		}
		differ = append(differ, err)
	}
	t.Fatalf("after a power cut during %s the spool is none of the %d it may be: %v", during, len(possible), errors.Join(differ...))
}

// checkFiles asserts that the content files are those of the large messages.
func checkFiles(t *testing.T, s *Spool, fs vfs.FS, m *storetest.Model) {
	t.Helper()
	names, err := fs.List(fs.PathJoin("spool", contentName))
	if err != nil {
		t.Fatal(err)
	}
	if want := m.Larger(smallContent); len(names) != want {
		t.Errorf("%d content files, want %d: %s", len(names), want, strings.Join(names, " "))
	}
	if d := s.Damaged(); len(d) > 0 {
		t.Errorf("damage after a power cut: %v", d)
	}
}
