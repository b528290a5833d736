package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// fakeQueue is a queue of n deliveries that notes what it is asked.
type fakeQueue struct {
	n     int
	fails int // List fails at this delivery, if not 0

	mu    sync.Mutex
	did   string
	asked queue.Selector
	pages int
	rules []queue.HoldRule
}

func fakeID(i int) mail.ID { return mail.FirstID(time.UnixMilli(int64(i))) }

func (q *fakeQueue) List(_ context.Context, sel queue.Selector, after queue.DeliveryKey, limit int) ([]queue.Entry, queue.DeliveryKey, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked, q.pages = sel, q.pages+1
	var page []queue.Entry
	for i := int(after.Number) + 1; i <= q.n; i++ {
		if i == q.fails {
			return nil, queue.DeliveryKey{}, errors.New("the disk is gone")
		}
		due := time.Unix(int64(i), 0).UTC()
		page = append(page, queue.Entry{ID: fakeID(i), Number: uint32(i), State: queue.Deferred, From: "<a@example.com>", Due: &due,
			To: []queue.EntryRecipient{{Address: "b@example.net", State: queue.Deferred, Reason: "451 later"}}})
		if len(page) == limit {
			return page, queue.DeliveryKey{Message: fakeID(i), Number: uint32(i)}, nil
		}
	}
	return page, queue.DeliveryKey{}, nil
}

func (q *fakeQueue) Show(_ context.Context, id mail.ID) (*mail.Envelope, []queue.Entry, error) {
	if id != fakeID(1) {
		return nil, nil, fmt.Errorf("%s: %w", id, queue.ErrNotFound)
	}
	e := &mail.Envelope{ID: id, MessageID: "<1@example.com>", Size: 5,
		Recipients: []mail.Recipient{{Address: mail.MustParseAddress("b@example.net")}}}
	return e, []queue.Entry{{ID: id, State: queue.Held, From: "<>"}}, nil
}

type fakeContent struct{ *bytes.Reader }

func (fakeContent) Close() error { return nil }

func (q *fakeQueue) Content(_ context.Context, id mail.ID) (queue.Content, error) {
	if id != fakeID(1) {
		return nil, fmt.Errorf("%s: %w", id, queue.ErrNotFound)
	}
	return fakeContent{bytes.NewReader([]byte("hello"))}, nil
}

func (q *fakeQueue) operate(did string, sel queue.Selector) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.did, q.asked = did, sel
	if reflect.DeepEqual(sel, queue.Selector{}) {
		return 0, queue.ErrUnselective
	}
	return 3, nil
}

func (q *fakeQueue) Retry(_ context.Context, s queue.Selector) (int, error) {
	return q.operate("retry", s)
}
func (q *fakeQueue) Hold(_ context.Context, s queue.Selector) (int, error) {
	return q.operate("hold", s)
}
func (q *fakeQueue) Release(_ context.Context, s queue.Selector) (int, error) {
	return q.operate("release", s)
}
func (q *fakeQueue) Delete(_ context.Context, s queue.Selector) (int, error) {
	return q.operate("delete", s)
}
func (q *fakeQueue) Bounce(_ context.Context, s queue.Selector) (int, error) {
	return q.operate("bounce", s)
}

func (q *fakeQueue) HoldRules() []queue.HoldRule { return q.rules }
func (q *fakeQueue) AddHoldRule(r queue.HoldRule) error {
	q.rules = append(q.rules, r)
	return nil
}
func (q *fakeQueue) RemoveHoldRule(queue.HoldRule) error {
	return fmt.Errorf("rule: %w", queue.ErrNotFound)
}
func (q *fakeQueue) Stats(context.Context) (queue.Stats, error) {
	return queue.Stats{Messages: 2, Rows: []queue.StatsRow{{Destination: "mx/example.net", State: queue.Dead}}}, nil
}
func (q *fakeQueue) Destinations() []queue.DestinationStatus {
	return []queue.DestinationStatus{{Destination: "provider", Status: queue.Suspended}}
}
func (q *fakeQueue) Verify(_ context.Context, report func(queue.Damage), progress func(done, total int64)) error {
	progress(1, 2)
	report(queue.Damage{Message: fakeID(1), Where: "content", What: "cut short"})
	return nil
}

// open serves b in a directory of its own and returns a client of it.
func open(t *testing.T, b Backend) (*Client, string) {
	t.Helper()
	dir := t.TempDir()
	control, err := OpenControl(dir, b, quiet)
	if err != nil {
		t.Fatal(err)
	}
	client := NewClient(dir)
	t.Cleanup(func() {
		client.Close()
		if err := control.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return client, dir
}

func TestSocketIsPrivateAndGoesAway(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(config.ControlSocket(dir), nil, 0o644); err != nil { // as if left by a crash
		t.Fatal(err)
	}
	control, err := OpenControl(dir, Backend{Queue: &fakeQueue{}}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(config.ControlSocket(dir))
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	if err := control.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := NewClient(dir).Stats(t.Context()); !errors.Is(err, ErrNoDaemon) || !strings.Contains(err.Error(), "postrider serve") {
		t.Errorf("after the end: %v", err)
	}
}

// A daemon that was killed leaves a socket nobody answers at.
func TestDeadSocketIsNoDaemon(t *testing.T) {
	dir := t.TempDir()
	l, err := bindPrivate(config.ControlSocket(dir))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if _, err := NewClient(dir).Stats(t.Context()); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("got %v", err)
	}
}

func TestListPagesThroughTheQueue(t *testing.T) {
	q := &fakeQueue{n: 3*listPage + 7}
	client, _ := open(t, Backend{Queue: q})
	seen := 0
	for e, err := range client.List(t.Context(), Selection{ToDomain: "Example.NET", OlderThan: "2d", States: []string{"deferred"}}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; e.ID != fakeID(seen) || e.State != queue.Deferred || e.From != "a@example.com" || e.To[0].Reason != "451 later" {
			t.Fatalf("delivery %d is %+v", seen, e)
		}
	}
	if seen != q.n || q.pages != 4 {
		t.Errorf("%d deliveries in %d pages", seen, q.pages)
	}
	want := queue.Selector{ToDomain: mail.MustParseDomain("example.net"), OlderThan: 48 * time.Hour, States: []queue.State{queue.Deferred}}
	if !reflect.DeepEqual(q.asked, want) {
		t.Errorf("asked for %+v", q.asked)
	}
	seen = 0
	for range client.List(t.Context(), Selection{}, listPage+1) {
		seen++
	}
	if seen != listPage+1 {
		t.Errorf("%d deliveries with a limit of %d", seen, listPage+1)
	}
}

// What fails in the middle of a list is told, and not taken for its end.
func TestListTellsAFailureInTheMiddle(t *testing.T) {
	client, _ := open(t, Backend{Queue: &fakeQueue{n: 2 * listPage, fails: listPage + 1}})
	seen, last := 0, error(nil)
	for _, err := range client.List(t.Context(), Selection{}, 0) {
		if err != nil {
			last = err
			break
		}
		seen++
	}
	if seen != listPage || last == nil || last.Error() != "the disk is gone" {
		t.Errorf("%d deliveries, then %v", seen, last)
	}
}

func TestOperations(t *testing.T) {
	q := &fakeQueue{}
	client, _ := open(t, Backend{Queue: q})
	for _, name := range []string{"retry", "hold", "release", "delete", "bounce"} {
		n, err := client.Operate(t.Context(), name, Selection{IDs: []string{fakeID(1).String()}, From: "<>", Route: "mx"})
		if err != nil || n != 3 || q.did != name {
			t.Errorf("%s: %d, %v, did %s", name, n, err, q.did)
		}
		want := queue.Selector{IDs: []mail.ID{fakeID(1)}, From: &mail.Path{}, Route: "mx"}
		if !reflect.DeepEqual(q.asked, want) {
			t.Errorf("%s: asked for %+v", name, q.asked)
		}
	}
}

func TestRefusals(t *testing.T) {
	client, _ := open(t, Backend{Queue: &fakeQueue{}})
	operate := func(s Selection) error {
		_, err := client.Operate(t.Context(), "delete", s)
		return err
	}
	_, showErr := client.Show(t.Context(), fakeID(9).String())
	_, badShow := client.Show(t.Context(), "nonsense")
	_, explainErr := client.Explain(t.Context(), Question{To: "a@example.com"})
	for _, tc := range []struct {
		err  error
		kind Kind
		why  string
	}{
		{operate(Selection{}), BadRequest, "nothing selected must not mean everything"},
		{operate(Selection{IDs: []string{"x"}}), BadRequest, "no id"},
		{operate(Selection{ToDomain: "a b"}), BadRequest, "no domain"},
		{operate(Selection{From: "x"}), BadRequest, "no address"},
		{operate(Selection{OlderThan: "soon"}), BadRequest, "no duration"},
		{operate(Selection{States: []string{"delivered"}}), BadRequest, "no state of what waits"},
		{showErr, NotFound, "no such message"},
		{badShow, BadRequest, "no id"},
		{client.Content(t.Context(), fakeID(9).String(), new(bytes.Buffer)), NotFound, "no such message"},
		{client.RemoveHoldRule(t.Context(), queue.HoldRule{}), NotFound, "no such rule"},
		{explainErr, Internal, "a daemon that can't explain"},
	} {
		var e *Error
		if !errors.As(tc.err, &e) || e.Kind != tc.kind || e.Text == "" {
			t.Errorf("%s: %v, want kind %s", tc.why, tc.err, tc.kind)
		}
	}
}

// A key that the daemon doesn't know is a condition it would not keep: that of a
// newer client, or a slip of somebody's own.
func TestUnknownKeysAreRefused(t *testing.T) {
	q := &fakeQueue{}
	client, _ := open(t, Backend{Queue: q})
	for _, path := range []string{"/v1/delete", "/v1/list"} {
		_, err := client.ask(t.Context(), http.MethodPost, path, map[string]any{"all": true, "state": []string{"dead"}})
		var e *Error
		if !errors.As(err, &e) || e.Kind != BadRequest || !strings.Contains(e.Text, `"state"`) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if q.did != "" || q.pages != 0 {
		t.Error("it was done all the same")
	}
}

func TestWhatElseTheDaemonTells(t *testing.T) {
	client, _ := open(t, Backend{
		Queue:   &fakeQueue{},
		Explain: func(_ context.Context, q Question) (*Explanation, error) { return &Explanation{Verdict: q.To}, nil },
	})
	m, err := client.Show(t.Context(), fakeID(1).String())
	if err != nil || m.From != "<>" || m.To[0] != "b@example.net" || m.Deliveries[0].State != queue.Held {
		t.Errorf("show: %+v, %v", m, err)
	}
	var content bytes.Buffer
	if err := client.Content(t.Context(), fakeID(1).String(), &content); err != nil || content.String() != "hello" {
		t.Errorf("content: %q, %v", content.String(), err)
	}
	s, err := client.Stats(t.Context())
	if err != nil || s.Messages != 2 || s.Rows[0].State != queue.Dead || s.Destinations[0].Status != queue.Suspended {
		t.Errorf("stats: %+v, %v", s, err)
	}
	if err := client.AddHoldRule(t.Context(), queue.HoldRule{Field: queue.HoldAll}); err != nil {
		t.Error(err)
	}
	rules, err := client.HoldRules(t.Context())
	if err != nil || len(rules) != 1 || rules[0].Field != queue.HoldAll {
		t.Errorf("rules: %+v, %v", rules, err)
	}
	var done, total int64
	faults := 0
	for d, err := range client.Verify(t.Context(), func(d, t int64) { done, total = d, t }) {
		if faults++; err != nil || d.Message != fakeID(1) || d.What != "cut short" {
			t.Errorf("verify: %+v, %v", d, err)
		}
	}
	if faults != 1 || done != 1 || total != 2 {
		t.Errorf("verify: %d faults, %d of %d octets", faults, done, total)
	}
	x, err := client.Explain(t.Context(), Question{To: "a@example.com"})
	if err != nil || x.Verdict != "a@example.com" {
		t.Errorf("explain: %+v, %v", x, err)
	}
}
