package spool

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
)

// FuzzValues: whatever is stored, decoders neither panic nor take more memory
// than it is worth, and what they accept they accept again, unchanged, when it
// is encoded once more.
func FuzzValues(f *testing.F) {
	m := storetest.NewMessage(rand.New(rand.NewPCG(1, 1)), storetest.Start, 10, storetest.Destination(1))
	record, _ := appendMessage(nil, nil, m.Envelope, m.Deliveries, 10)
	f.Add(record)
	f.Add(appendDelivery(nil, m.Deliveries[0]))
	f.Add(counts{1, 2, 3, 4, -5}.append(nil))
	f.Add(fileRecord{70000, 1}.append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := decodeMessage(data); err == nil {
			if e, err := decodeEnvelope(m.envelope, mail.ID{1}); err == nil {
				again, err := decodeEnvelope(appendEnvelope(nil, e), mail.ID{1})
				if err != nil || !reflect.DeepEqual(again, e) {
					t.Errorf("envelope %+v became %+v (%v)", e, again, err)
				}
			}
		}
		if d, err := decodeDelivery(data, queue.DeliveryKey{}); err == nil {
			again, err := decodeDelivery(appendDelivery(nil, d), queue.DeliveryKey{})
			if err != nil || !reflect.DeepEqual(again, d) {
				t.Errorf("delivery %+v became %+v (%v)", d, again, err)
			}
		}
		if c, err := decodeCounts(data); err == nil {
			if again, err := decodeCounts(c.append(nil)); err != nil || again != c {
				t.Errorf("counts %+v became %+v (%v)", c, again, err)
			}
		}
		if r, err := decodeFile(data); err == nil {
			if again, err := decodeFile(r.append(nil)); err != nil || again != r {
				t.Errorf("file record %+v became %+v (%v)", r, again, err)
			}
		}
	})
}

// FuzzKeys: keys that can be read are those that would be written.
func FuzzKeys(f *testing.F) {
	lane := queue.Lane{Destination: storetest.Destination(1), Identity: "a\x00b", Class: queue.ClassRetry}
	f.Add(appendPlace(appendLane(nil, lane), storetest.Start, queue.DeliveryKey{Number: 3}))
	lane.Class, lane.Sender = queue.ClassRefused, "<a\x00@example.org>"
	f.Add(appendPlace(appendLane(nil, lane), storetest.Start, queue.DeliveryKey{Number: 3}))
	f.Add(appendTotalsKey(nil, storetest.Destination(0), queue.Held))
	f.Fuzz(func(t *testing.T, key []byte) {
		if lane, place, prefix, err := parseScheduleKey(key); err == nil {
			again := appendPlace(appendLane(nil, lane), place.Due, place.DeliveryKey)
			l, p, n, err := parseScheduleKey(again)
			if err != nil || l != lane || p != place || n != prefix {
				t.Errorf("%x became %x (%v)", key, again, err)
			}
		}
		if d, state, err := parseTotalsKey(key); err == nil {
			dd, ss, err := parseTotalsKey(appendTotalsKey(nil, d, state))
			if err != nil || dd != d || ss != state {
				t.Errorf("%x: %v %v became %v %v (%v)", key, d, state, dd, ss, err)
			}
		}
		_, _ = tailOf(key)
		_, _ = parseIDKey(key, tableMessage)
	})
}

// TestScheduleOrder: keys of the schedule sort by destination, identity, class, sender,
// due time and id, whatever octets a name holds.
func TestScheduleOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOfN(rapid.RuneFrom([]rune("\x00\x01a/\u00ff")), 0, 4, -1)
		type entry struct {
			lane  queue.Lane
			place queue.Place
		}
		draw := func(label string) entry {
			e := entry{lane: queue.Lane{
				Destination: queue.Destination{Route: strings.ReplaceAll(name.Draw(t, label+" route"), "/", "")},
				Identity:    name.Draw(t, label+" identity"),
				Class:       queue.Class(rapid.IntRange(0, int(queue.ClassRefused)).Draw(t, label+" class")),
			}}
			if e.lane.Class == queue.ClassRefused {
				e.lane.Sender = name.Draw(t, label+" sender")
			}
			e.place.Due = time.UnixMilli(rapid.Int64Range(-1<<40, 1<<40).Draw(t, label+" due")).UTC()
			e.place.Message[0] = rapid.Byte().Draw(t, label+" id")
			e.place.Number = rapid.Uint32().Draw(t, label+" number")
			return e
		}
		a, b := draw("a"), draw("b")
		key := func(e entry) []byte { return appendPlace(appendLane(nil, e.lane), e.place.Due, e.place.DeliveryKey) }
		want := slices.Compare([]string{a.lane.Destination.Route, a.lane.Identity}, []string{b.lane.Destination.Route, b.lane.Identity})
		for _, next := range []int{
			int(a.lane.Class) - int(b.lane.Class), strings.Compare(a.lane.Sender, b.lane.Sender), a.place.Due.Compare(b.place.Due), a.place.Message.Compare(b.place.Message),
			int(int64(a.place.Number) - int64(b.place.Number)),
		} {
			if want == 0 {
				want = next
			}
		}
		if got := bytes.Compare(key(a), key(b)); (got < 0) != (want < 0) || (got > 0) != (want > 0) {
			t.Errorf("%+v and %+v sort as %d, want %d", a, b, got, want)
		}
	})
}

// TestRecordSize keeps watch over what a usual message costs in the log.
func TestRecordSize(t *testing.T) {
	m := storetest.NewMessage(rand.New(rand.NewPCG(1, 1)), storetest.Start, 10, storetest.Destination(1))
	record, _ := appendMessage(nil, nil, m.Envelope, m.Deliveries, 10)
	if len(record) > 170 {
		t.Errorf("a message record has %d octets", len(record))
	}
}
