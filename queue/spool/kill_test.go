package spool

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
)

// TestKill kills a process that accepts and finishes messages, again and again
// on the same directory. What it said it had accepted is there afterwards, whole,
// and what it finished before a synced commit is not.
func TestKill(t *testing.T) {
	const variable = "POSTRIDER_TEST_FILL_SPOOL"
	if dir := os.Getenv(variable); dir != "" {
		acceptForEver(t, mustOpen(t, vfs.Default, dir))
	}
	dir := t.TempDir()
	r := rand.New(rand.NewPCG(3, 3))
	there := map[mail.ID]bool{}
	for round := range 5 {
		child := exec.Command(os.Args[0], "-test.run=^TestKill$")
		child.Env = append(os.Environ(), variable+"="+dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines, stop := bufio.NewScanner(out), 50+r.IntN(200)
		for lines.Scan() {
			var word, text string
			if _, err := fmt.Sscan(lines.Text(), &word, &text); err != nil {
				continue
			}
			id, err := mail.ParseID(text)
			if err != nil {
				t.Fatalf("%s: %v", lines.Text(), err)
			}
			switch word {
			case "accepted":
				there[id] = true
			case "finishing":
				delete(there, id) // from here on it may be either way
			}
			if stop--; stop == 0 {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		child.Wait() // says that it was killed

		s := mustOpen(t, vfs.Default, dir)
		for id := range there {
			if _, err := read(t, s, id); err != nil {
				t.Errorf("round %d: %s was accepted: %v", round, id, err)
			}
		}
		for _, d := range append(faultsFound(t, s), s.Damaged()...) {
			t.Errorf("round %d: %+v", round, d)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// acceptForEver runs in the process that is killed.
func acceptForEver(t *testing.T, s *Spool) {
	r := rand.New(rand.NewPCG(rand.Uint64(), 0))
	var queued []*storetest.Message
	for {
		size := r.IntN(10_000)
		if r.IntN(8) == 0 {
			size += smallContent
		}
		m := storetest.NewMessage(r, storetest.Start, size, storetest.Destination(1), storetest.Destination(2))
		m.Create(t, s)
		fmt.Println("accepted", m.Envelope.ID)
		if queued = append(queued, m); r.IntN(3) > 0 {
			continue
		}
		n := r.IntN(len(queued))
		fmt.Println("finishing", queued[n].Envelope.ID)
		for _, d := range queued[n].Deliveries {
			if err := s.Commit(t.Context(), &queue.Change{Remove: []*queue.Delivery{d}}); err != nil {
				t.Fatal(err)
			}
		}
		queued = append(queued[:n], queued[n+1:]...)
	}
}
