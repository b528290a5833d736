package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// Run tests a store against the contract of queue.Store. fresh makes a place for
// an empty store and returns what opens it; opened again after Close it must
// still hold what it held.
func Run(t *testing.T, fresh func(t testing.TB) (open func() queue.Store)) {
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) {
			open := fresh(t)
			s := &reopener{Store: open(), open: open}
			defer func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			}()
			c.test(t, s, rand.New(rand.NewPCG(1, 2)))
		})
	}
}

// reopener is a store that can be closed and opened again.
type reopener struct {
	queue.Store
	open func() queue.Store
}

func (s *reopener) reopen(t testing.TB) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	s.Store = s.open()
}

var contract = []struct {
	name string
	test func(t *testing.T, s *reopener, r *rand.Rand)
}{
	{"envelope_and_delivery_come_back_whole", wholeRecords},
	{"content_of_every_size", contents},
	{"content_stays_readable_after_the_message", contentOutlivesMessage},
	{"stage_without_commit_leaves_nothing", stageDiscarded},
	{"change_is_all_or_nothing", allOrNothing},
	{"unknown_is_not_found", unknown},
	{"message_goes_with_its_last_delivery", lastDelivery},
	{"concurrent_ends_of_one_message", concurrentEnds},
	{"report_and_removal_in_one_change", bounce},
	{"due_is_ordered_bounded_and_resumes", due},
	{"lanes_are_apart", lanes},
	{"states_page", states},
	{"messages_page", messages},
	{"held_again_and_again_at_the_same_place", holdAndRelease},
	{"random_history", history},
}

func commit(t testing.TB, s queue.Store, c *queue.Change) {
	t.Helper()
	if err := s.Commit(t.Context(), c); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func expect(t testing.TB, s queue.Store, ms ...*Message) {
	t.Helper()
	model := NewModel()
	for _, m := range ms {
		model.Add(m)
	}
	if err := model.Compare(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func wholeRecords(t *testing.T, s *reopener, r *rand.Rand) {
	m := NewMessage(r, Start, 100, Destination(1))
	e, d := m.Envelope, m.Deliveries[0]
	e.From = mail.Path{}
	e.Recipients = []mail.Recipient{
		{Address: mail.MustParseAddress(`"a b"@[192.0.2.1]`), Notify: mail.NotifySuccess | mail.NotifyDelay, OriginalType: "rfc822", Original: "x@y"},
		{Address: mail.MustParseAddress("jörg@xn--bcher-kva.example"), Notify: mail.NotifyNever},
		{Address: mail.MustParseAddress("Postmaster")},
	}
	e.Identity = mail.Identity{Name: "b\x00x", Groups: []string{"g", ""}, Mechanism: "EXTERNAL", Listener: "l", Helo: "h", TLS: "TLSv1.3"}
	if err := e.Identity.Remote.UnmarshalText([]byte("[2001:db8::1%eth0]:25")); err != nil {
		t.Fatal(err)
	}
	e.Body, e.SMTPUTF8, e.RequireTLS, e.EightBit = mail.BodyBinaryMIME, true, true, true
	e.Return, e.EnvelopeID, e.Reports = mail.ReturnHeaders, "env+1", "none"
	d.Number, d.Identity, d.Bulk, d.Warned, d.InDoubt, d.Attempts = 7, e.Identity.Name, true, true, "mx1.example", 3
	d.State, d.Due, d.Refused = queue.Deferred, Start.Add(time.Hour), e.From.String()
	d.Recipients = []queue.RecipientState{
		{Index: 2, State: queue.Deferred, Reply: mail.Reply{Code: 451, Enhanced: mail.EnhancedCode{4, 999, 0}, Text: "a\nb"}, Host: "mx1", At: Start},
		{Index: 0, State: queue.Delivered, Host: "mx1"},
		{Index: 1, Reason: "dial tcp: connection refused"},
	}
	m.Create(t, s)
	expect(t, s, m)
	s.reopen(t)
	expect(t, s, m)
}

func contents(t *testing.T, s *reopener, r *rand.Rand) {
	var all []*Message
	for _, size := range []int{0, 1, 16 << 10, 64<<10 - 1, 64 << 10, 64<<10 + 1, 200_000, 1 << 20} {
		m := NewMessage(r, Start, size, Destination(1))
		n, err := m.Stage(s)
		if err != nil {
			t.Fatal(err)
		}
		before, err := n.Content.Content()
		if err != nil {
			t.Fatal(err)
		}
		commit(t, s, &queue.Change{Create: []queue.NewMessage{n}, Sync: true})
		after, err := n.Content.Content()
		if err != nil {
			t.Fatal(err)
		}
		n.Content.Discard()
		if err := errors.Join(checkContent(before, m.Content), checkContent(after, m.Content)); err != nil {
			t.Fatalf("staged content of %d octets: %v", size, err)
		}
		all = append(all, m)
	}
	s.reopen(t)
	model := NewModel()
	for _, m := range all {
		model.Add(m)
	}
	if err := model.Compare(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func contentOutlivesMessage(t *testing.T, s *reopener, r *rand.Rand) {
	for _, size := range []int{1000, 200_000} {
		m := NewMessage(r, Start, size, Destination(1))
		m.Create(t, s)
		c, err := s.Content(t.Context(), m.Envelope.ID)
		if err != nil {
			t.Fatal(err)
		}
		commit(t, s, &queue.Change{Remove: m.Deliveries})
		if err := checkContent(c, m.Content); err != nil {
			t.Errorf("%d octets: %v", size, err)
		}
	}
	expect(t, s)
}

func stageDiscarded(t *testing.T, s *reopener, r *rand.Rand) {
	for _, size := range []int{1000, 200_000} {
		n, err := NewMessage(r, Start, size, Destination(1)).Stage(s)
		if err != nil {
			t.Fatal(err)
		}
		if size > 1000 { // this one is just forgotten, as in a crash
			continue
		}
		n.Content.Discard()
		n.Content.Discard()
		if err := s.Commit(t.Context(), &queue.Change{Create: []queue.NewMessage{n}, Sync: true}); err == nil {
			t.Error("a discarded content was committed")
		}
	}
	s.reopen(t)
	expect(t, s)
}

func allOrNothing(t *testing.T, s *reopener, r *rand.Rand) {
	kept := NewMessage(r, Start, 100, Destination(1), Destination(2))
	kept.Create(t, s)
	refused, err := NewMessage(r, Start, 200_000, Destination(1)).Stage(s)
	if err != nil {
		t.Fatal(err)
	}
	defer refused.Content.Discard()
	missing := Changed(kept.Deliveries[0], func(d *queue.Delivery) { d.Number = 99 })
	err = s.Commit(t.Context(), &queue.Change{
		Create: []queue.NewMessage{refused},
		Remove: []*queue.Delivery{kept.Deliveries[0], missing},
		Meta:   map[string][]byte{"a": []byte("x")}, Sync: true,
	})
	if !errors.Is(err, queue.ErrNotFound) {
		t.Fatalf("removing what is not there: %v", err)
	}
	expect(t, s, kept)
	s.reopen(t)
	expect(t, s, kept)
}

func unknown(t *testing.T, s *reopener, r *rand.Rand) {
	m := NewMessage(r, Start, 100, Destination(1))
	_, envelope := s.Envelope(t.Context(), m.Envelope.ID)
	_, content := s.Content(t.Context(), m.Envelope.ID)
	_, deliveries := s.Deliveries(t.Context(), m.Envelope.ID)
	_, delivery := s.Delivery(t.Context(), m.Deliveries[0].DeliveryKey)
	put := s.Commit(t.Context(), &queue.Change{Put: []queue.Move{{Old: m.Deliveries[0], New: m.Deliveries[0]}}})
	for i, err := range []error{envelope, content, deliveries, delivery, put} {
		if !errors.Is(err, queue.ErrNotFound) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

func lastDelivery(t *testing.T, s *reopener, r *rand.Rand) {
	for _, reopened := range []bool{false, true} {
		m := NewMessage(r, Start, 100, Destination(1), Destination(2), Destination(3))
		m.Create(t, s)
		if reopened {
			s.reopen(t)
		}
		for i, d := range m.Deliveries {
			if _, err := s.Envelope(t.Context(), m.Envelope.ID); err != nil {
				t.Fatalf("with %d of 3 finished: %v", i, err)
			}
			// Its state of a moment ago is enough to name it.
			commit(t, s, &queue.Change{Remove: []*queue.Delivery{Changed(d, func(d *queue.Delivery) {
				d.Recipients[0].State = queue.Delivered
			})}})
		}
		expect(t, s)
	}
}

func concurrentEnds(t *testing.T, s *reopener, r *rand.Rand) {
	var to []queue.Destination
	for i := range 40 {
		to = append(to, Destination(i))
	}
	m := NewMessage(r, Start, 100, to...)
	m.Create(t, s)
	var wg sync.WaitGroup
	errs := make([]error, len(m.Deliveries))
	for i, d := range m.Deliveries {
		wg.Go(func() {
			errs[i] = s.Commit(t.Context(), &queue.Change{Remove: []*queue.Delivery{d}, Sync: i%2 == 0})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	expect(t, s)
	s.reopen(t)
	expect(t, s)
}

func bounce(t *testing.T, s *reopener, r *rand.Rand) {
	m := NewMessage(r, Start, 100, Destination(1))
	m.Create(t, s)
	report := NewMessage(r, Start.Add(time.Second), 300, Destination(2))
	n, err := report.Stage(s)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Content.Discard()
	commit(t, s, &queue.Change{Create: []queue.NewMessage{n}, Remove: m.Deliveries, Sync: true})
	expect(t, s, report)
	s.reopen(t)
	expect(t, s, report)
}

func due(t *testing.T, s *reopener, r *rand.Rand) {
	var want []queue.Place
	var lane queue.Lane
	for i := range 20 {
		m := NewMessage(r, Start, 10, Destination(1))
		m.Deliveries[0].Due = Start.Add(time.Duration(i/2) * time.Millisecond)
		m.Create(t, s)
		lane = m.Deliveries[0].Lane()
	}
	all, err := allDue(t.Context(), s, lane)
	if err != nil || len(all) != 20 {
		t.Fatalf("%d places (%v)", len(all), err)
	}
	until := Start.Add(4 * time.Millisecond)
	for _, p := range all {
		if !p.Due.After(until) {
			want = append(want, p)
		}
	}
	for _, c := range []struct {
		reason string
		after  queue.Place
		limit  int
		want   []queue.Place
	}{
		{"up to and with its millisecond", queue.Place{}, 100, want},
		{"bounded", queue.Place{}, 3, want[:3]},
		{"goes on behind a place", want[4], 100, want[5:]},
		{"nothing behind the last", want[9], 100, nil},
		{"no limit is nothing", queue.Place{}, 0, nil},
	} {
		got, err := s.Due(t.Context(), lane, c.after, until, c.limit)
		if err != nil || len(got) != len(c.want) || (len(got) > 0 && !reflect.DeepEqual(got, c.want)) {
			t.Errorf("%s: %v (%v), want %v", c.reason, got, err, c.want)
		}
	}
}

func lanes(t *testing.T, s *reopener, r *rand.Rand) {
	model := NewModel()
	for i := range 24 {
		m := NewMessage(r, Start, 10, Destination(i%2))
		d := m.Deliveries[0]
		d.Identity = []string{"", "a", "a\x00", "a\x00b", "\xff"}[i%5]
		d.Bulk = i%3 == 0
		if d.Attempts = i % 4; d.Attempts > 0 {
			d.State = queue.Deferred
			d.Refused = []string{"", "<a@example.org>", "<a\x00>"}[i%3]
		}
		d.Due = Start.Add(time.Duration(100-i) * time.Second)
		m.Create(t, s)
		model.Add(m)
	}
	if err := model.Compare(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	calls := 0
	err := s.Lanes(t.Context(), func(queue.Lane, time.Time) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("lanes after an error: %d calls, %v", calls, err)
	}
}

func states(t *testing.T, s *reopener, r *rand.Rand) {
	model := NewModel()
	for i := range 12 {
		m := NewMessage(r, Start.Add(time.Duration(i)*time.Second), 10, Destination(1), Destination(2))
		for j, d := range m.Deliveries {
			if d.State = queue.State((i + j) % 5); d.State == queue.Deferred {
				d.Attempts = 1
			}
		}
		m.Create(t, s)
		model.Add(m)
	}
	if err := model.Compare(t.Context(), s); err != nil {
		t.Fatal(err)
	}
}

func messages(t *testing.T, s *reopener, r *rand.Rand) {
	var ids []mail.ID
	for i := range 10 {
		m := NewMessage(r, Start.Add(time.Duration(i)*time.Second), 10, Destination(1))
		m.Create(t, s)
		ids = append(ids, m.Envelope.ID)
	}
	got, err := s.Messages(t.Context(), ids[3], 4)
	if err != nil || len(got) != 4 {
		t.Fatalf("%d messages (%v)", len(got), err)
	}
	for i, e := range got {
		if e.ID != ids[3+i] {
			t.Errorf("message %d is %s, want %s", i, e.ID, ids[3+i])
		}
	}
	got, err = s.Messages(t.Context(), mail.FirstID(Start.Add(8*time.Second)), 100)
	if err != nil || len(got) != 2 {
		t.Errorf("%d messages from the 9th second on (%v)", len(got), err)
	}
}

func holdAndRelease(t *testing.T, s *reopener, r *rand.Rand) {
	m := NewMessage(r, Start, 10, Destination(1))
	m.Create(t, s)
	active := m.Deliveries[0]
	held := Changed(active, func(d *queue.Delivery) { d.State = queue.Held })
	for i := range 5 {
		commit(t, s, &queue.Change{Put: []queue.Move{{Old: active, New: held}}})
		commit(t, s, &queue.Change{Put: []queue.Move{{Old: held, New: active}}, Sync: true})
		if i == 2 {
			s.reopen(t)
		}
		expect(t, s, m)
	}
	commit(t, s, &queue.Change{Remove: m.Deliveries})
	expect(t, s)
	s.reopen(t)
	expect(t, s)
}

func history(t *testing.T, s *reopener, _ *rand.Rand) {
	for seed := range uint64(6) {
		script := NewScript(seed)
		for _, n := range []int{60, 60} {
			if err := script.Play(t.Context(), s, n); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if err := script.Model.Compare(t.Context(), s); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			s.reopen(t)
			if err := script.Model.Compare(t.Context(), s); err != nil {
				t.Fatalf("seed %d, opened again: %v", seed, err)
			}
		}
		if err := clearAll(t, s, script.Model); err != nil {
			t.Fatal(fmt.Errorf("seed %d: %w", seed, err))
		}
	}
}

// clearAll ends everything, several deliveries at a time.
func clearAll(t testing.TB, s queue.Store, m *Model) error {
	keys := m.keys()
	for len(keys) > 0 {
		n := min(len(keys), 3)
		c := &queue.Change{Meta: map[string][]byte{"a": nil, "b": nil}}
		for _, k := range keys[:n] {
			c.Remove = append(c.Remove, m.deliveries[k])
		}
		if err := s.Commit(t.Context(), c); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return NewModel().Compare(t.Context(), s)
}
