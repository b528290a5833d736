package queue_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
)

type domains struct{}

func (domains) Destination(_ *mail.Envelope, a mail.Address) queue.Destination {
	return queue.Destination{Route: "mx", Domain: a.Domain}
}

// sink takes mail, or defers it while it is shut, and says what it has taken.
type sink struct {
	mu    sync.Mutex // guards the rest
	shut  bool
	taken map[string]int // by recipient
	more  chan struct{}
}

func (s *sink) Deliver(_ context.Context, a *queue.Attempt) queue.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := queue.Outcome{Results: make([]queue.Result, len(a.Pending))}
	if s.shut {
		return out
	}
	for i, index := range a.Pending {
		out.Results[i] = queue.Result{Verdict: queue.Success, Reply: mail.Reply{Code: 250}}
		s.taken[a.Envelope.Recipients[index].Address.String()]++
	}
	select {
	case s.more <- struct{}{}:
	default:
	}
	return out
}

func (s *sink) Record(mail.Event) {}

func open(t *testing.T, fs vfs.FS, s *sink) (*spool.Spool, *queue.Queue) {
	t.Helper()
	logger := slog.New(slog.DiscardHandler)
	store, err := spool.Open("spool", spool.Options{FS: fs, Logger: logger, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	q := queue.New(store, queue.Options{
		Hostname: "relay.example", Router: domains{}, Deliverer: s, Recorder: s, Logger: logger,
		Retry: config.Retry{Intervals: []time.Duration{time.Hour}, Lifetime: 24 * time.Hour},
	})
	if err := q.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	return store, q
}

func closeAll(t *testing.T, store *spool.Spool, q *queue.Queue) {
	t.Helper()
	if err := q.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}

// After a power cut everything that was acknowledged is there and is delivered.
func TestPowerCut(t *testing.T) {
	const messages = 200
	fs := vfs.NewCrashableMem()
	before := &sink{shut: true, taken: map[string]int{}}
	store, q := open(t, fs, before)
	for i := range messages {
		in, err := q.Receive(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, "Subject: x\r\n\r\nbody\r\n"); err != nil {
			t.Fatal(err)
		}
		e := &mail.Envelope{Recipients: []mail.Recipient{{Address: mail.MustParseAddress(fmt.Sprintf("u%d@d%d.example", i, i%7))}}}
		if err := in.Commit(context.Background(), e, queue.Deliver); err != nil {
			t.Fatal(err)
		}
	}
	cut := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
	closeAll(t, store, q)

	after := &sink{taken: map[string]int{}, more: make(chan struct{}, 1)}
	store, q = open(t, cut, after)
	if _, err := q.Retry(context.Background(), queue.Selector{All: true}); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(time.Minute)
	for q.Totals().Messages > 0 {
		select {
		case <-after.more:
		case <-time.After(10 * time.Millisecond): // settled after the last was taken
		case <-deadline:
			t.Fatalf("%d messages left", q.Totals().Messages)
		}
	}
	closeAll(t, store, q)
	for i := range messages {
		if n := after.taken[fmt.Sprintf("u%d@d%d.example", i, i%7)]; n != 1 {
			t.Errorf("recipient %d was delivered to %d times", i, n)
		}
	}
}
