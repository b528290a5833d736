package queue

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mxRouter sends every recipient to its domain, except those of a smarthost.
type mxRouter struct {
	smarthosts map[string]string // domain to route
}

func (mxRouter) Concurrency(Destination) int { return 0 }

func (r mxRouter) Destination(_ *mail.Envelope, a mail.Address) Destination {
	if route := r.smarthosts[a.Domain.String()]; route != "" {
		return Destination{Route: route}
	}
	return Destination{Route: "mx", Domain: a.Domain}
}

// deliverFunc is a Deliverer as a function.
type deliverFunc func(ctx context.Context, a *Attempt) Outcome

func (f deliverFunc) Deliver(ctx context.Context, a *Attempt) Outcome { return f(ctx, a) }

// journal keeps events.
type journal struct {
	mu     sync.Mutex
	events []mail.Event
}

func (j *journal) Record(e mail.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

func (j *journal) all() []mail.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}

// of returns the events of one kind.
func (j *journal) of(kind mail.EventKind) []mail.Event {
	return slices.DeleteFunc(j.all(), func(e mail.Event) bool { return e.Kind != kind })
}

// rig is a queue in a bubble with everything around it.
type rig struct {
	*Queue
	t     *testing.T
	store *memStore
	log   *journal
	logs  *lockedBuffer
	o     Options
	step  atomic.Int64 // of the wall clock, in nanoseconds
}

var plan = config.Retry{
	Intervals: []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour},
	Lifetime:  5 * 24 * time.Hour, WarnAfter: 4 * time.Hour,
}

// inBubble runs test with a started queue and fake time.
func inBubble(t *testing.T, deliver deliverFunc, test func(*rig), options ...func(*Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, store: newMemStore(), log: &journal{}, logs: &lockedBuffer{}}
		r.o = Options{
			Owner: "test", Hostname: "relay.example", Postmaster: mail.MustParseAddress("postmaster@relay.example"),
			Router: mxRouter{}, Deliverer: deliver, Recorder: r.log, Retry: plan,
			Logger: slog.New(slog.NewTextHandler(r.logs, nil)),
			Wall:   func() time.Time { return time.Now().Add(time.Duration(r.step.Load())) },
		}
		for _, set := range options {
			set(&r.o)
		}
		r.start()
		defer r.end() // also after a Fatal
		test(r)
	})
}

// lockedBuffer can be read while the queue logs.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (r *rig) start() {
	r.t.Helper()
	r.Queue = New(r.store, r.o)
	if err := r.Start(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) halt() {
	r.t.Helper()
	if err := r.Stop(context.Background()); err != nil {
		r.t.Error(err)
	}
}

// end stops the queue and looks for what it left open.
func (r *rig) end() {
	r.halt()
	if n := r.store.stages.Load(); n != 0 {
		r.t.Errorf("%d stages left open", n)
	}
	if n := r.store.contents.Load(); n != 0 {
		r.t.Errorf("%d contents left open", n)
	}
}

// send puts a message from a to the recipients into the queue.
func (r *rig) send(from string, to ...string) mail.ID {
	r.t.Helper()
	return r.submit(&mail.Envelope{Identity: mail.Identity{Name: "app"}}, from, to...)
}

func (r *rig) submit(e *mail.Envelope, from string, to ...string) mail.ID {
	r.t.Helper()
	id, err := r.trySubmit(e, Deliver, from, to...)
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func (r *rig) trySubmit(e *mail.Envelope, disposition Disposition, from string, to ...string) (mail.ID, error) {
	var err error
	if e.From, err = mail.ParsePath("<" + from + ">"); err != nil {
		r.t.Fatal(err)
	}
	for _, a := range to {
		e.Recipients = append(e.Recipients, mail.Recipient{Address: mail.MustParseAddress(a)})
	}
	in, err := r.Receive(context.Background())
	if err != nil {
		return mail.ID{}, err
	}
	defer in.Discard()
	if _, err := io.WriteString(in, "Subject: hello\r\n\r\nbody\r\n"); err != nil {
		return mail.ID{}, err
	}
	return in.ID(), in.Commit(context.Background(), e, disposition)
}

// all answers every pending recipient with the same result.
func all(a *Attempt, r Result) Outcome {
	out := Outcome{Results: make([]Result, len(a.Pending))}
	for i := range out.Results {
		out.Results[i] = r
	}
	return out
}

var (
	taken    = Result{Verdict: Success, Reply: mail.Reply{Code: 250}, Host: "mx.example"}
	refused  = Result{Verdict: Bounce, Reply: mail.Reply{Code: 550, Enhanced: mail.EnhancedCode{5, 1, 1}, Text: "no such user"}, Host: "mx.example"}
	greylist = Result{Verdict: Defer, Reply: mail.Reply{Code: 450, Enhanced: mail.EnhancedCode{4, 2, 0}, Text: "greylisted"}, Host: "mx.example"}
)

func unreachable(a *Attempt) Outcome {
	out := all(a, Result{Verdict: Defer, Reason: "connection refused", Host: "mx.dead.example"})
	out.Fault, out.FaultReason = Unreachable, "connection refused"
	return out
}

// content returns a message's content as the store has it.
func (r *rig) text(id mail.ID) string {
	r.t.Helper()
	c, err := r.Content(context.Background(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(b)
}

func TestDelivers(t *testing.T) {
	var got []string
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		b := make([]byte, a.Content.Size())
		if _, err := a.Content.ReadAt(b, 0); err != nil && err != io.EOF {
			t.Error(err)
		}
		got = append(got, fmt.Sprintf("%s %v %q", a.Delivery.Destination, a.Pending, b))
		return all(a, taken)
	}, func(r *rig) {
		id := r.send("a@x.example", "b@y.example")
		synctest.Wait()
		want := []string{`mx/y.example [0] "Subject: hello\r\n\r\nbody\r\n"`}
		if !slices.Equal(got, want) {
			t.Errorf("delivered %q, want %q", got, want)
		}
		if r.store.count() != 0 {
			t.Error("the message is still there")
		}
		events := r.log.all()
		if len(events) != 2 || events[0].Kind != mail.EventAccepted || events[1].Kind != mail.EventDelivered ||
			events[0].ID != id || events[1].ID != id {
			t.Errorf("events: %+v", events)
		}
		if r.store.synced != 1 {
			t.Errorf("%d synced commits for one delivered message, want 1", r.store.synced)
		}
	})
}

func TestBouncesAtomically(t *testing.T) {
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if a.Envelope.From.IsNull() {
			return all(a, greylist)
		}
		return all(a, refused)
	}, func(r *rig) {
		r.store.refuse = func(c *Change) error {
			if len(c.Remove) > 0 && (len(c.Create) != 1 || !c.Sync) {
				t.Errorf("a failed message is removed without its report: %+v", c)
			}
			return nil
		}
		r.send("a@x.example", "b@y.example")
		synctest.Wait()
		if r.store.count() != 1 {
			t.Fatalf("%d messages, want the report", r.store.count())
		}
		list, _, err := r.List(context.Background(), Selector{}, DeliveryKey{}, 10)
		if err != nil || len(list) != 1 {
			t.Fatal(list, err)
		}
		if list[0].From != "<>" || list[0].To[0].Address != "a@x.example" {
			t.Errorf("report goes from %s to %v", list[0].From, list[0].To)
		}
		if text := r.text(list[0].ID); !strings.Contains(text, "no such user") || !strings.Contains(text, "b@y.example") {
			t.Errorf("report says nothing of the failure:\n%s", text)
		}
	})
}

func TestRetrySchedule(t *testing.T) {
	var seen tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if a.Envelope.From.IsNull() {
			return all(a, taken) // the delay report
		}
		if seen.note(a) == 10 {
			return all(a, taken)
		}
		return all(a, greylist)
	}, func(r *rig) {
		r.send("a@x.example", "b@y.example")
		time.Sleep(48 * time.Hour)
		times := seen.all()
		if len(times) != 10 {
			t.Fatalf("%d attempts, want 10: retries go on after success or never came", len(times))
		}
		for i := range 9 {
			want := plan.Intervals[min(i, len(plan.Intervals)-1)]
			got := times[i+1].at.Sub(times[i].at)
			if got < want-want/10-time.Millisecond || got > want+want/10+time.Millisecond {
				t.Errorf("wait %d is %s, want %s with a tenth of jitter", i+1, got, want)
			}
		}
	})
}
