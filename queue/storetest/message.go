package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// Start is when the messages of these tests begin to arrive.
var Start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// Destination returns the n-th of the destinations that these tests use: the
// first is a smarthost route, the others are domains.
func Destination(n int) queue.Destination {
	if n == 0 {
		return queue.Destination{Route: "provider"}
	}
	return queue.Destination{Route: "mx", Domain: mail.MustParseDomain(fmt.Sprintf("d%d.example", n))}
}

// Message is a message on its way into a store.
type Message struct {
	Envelope   *mail.Envelope
	Deliveries []*queue.Delivery
	Content    []byte
}

// NewMessage returns a message that arrives at a time, with one recipient for
// each destination, and a random content of size octets.
func NewMessage(r *rand.Rand, at time.Time, size int, destinations ...queue.Destination) *Message {
	e := &mail.Envelope{
		ID: mail.NewID(at), Arrival: at, From: mail.Path{Address: mail.MustParseAddress("sender@example.org")},
		Identity: mail.Identity{Name: "app", Mechanism: "PLAIN", Listener: ":587", Helo: "client"},
		Size:     int64(size), MessageID: "<1@example.org>",
	}
	m := &Message{Envelope: e, Content: make([]byte, size)}
	for i := range m.Content {
		m.Content[i] = byte(r.Uint32())
	}
	for i, d := range destinations {
		e.Recipients = append(e.Recipients, mail.Recipient{Address: mail.MustParseAddress(fmt.Sprintf("r%d@example.net", i))})
		m.Deliveries = append(m.Deliveries, &queue.Delivery{
			DeliveryKey: queue.DeliveryKey{Message: e.ID, Number: uint32(i)},
			Owner:       "relay-1", Destination: d, Identity: e.Identity.Name,
			Due: at, Arrival: at, Size: int64(size),
			Recipients: []queue.RecipientState{{Index: i}},
		})
	}
	return m
}

// Stage writes the content of m into a stage of s.
func (m *Message) Stage(s queue.Store) (queue.NewMessage, error) {
	st, err := s.Stage()
	if err != nil {
		return queue.NewMessage{}, err
	}
	for rest := m.Content; len(rest) > 0; { // in pieces, as they come from a client
		n := min(len(rest), 4000)
		if _, err := st.Write(rest[:n]); err != nil {
			st.Discard()
			return queue.NewMessage{}, err
		}
		rest = rest[n:]
	}
	return queue.NewMessage{Envelope: m.Envelope, Deliveries: m.Deliveries, Content: st}, nil
}

// Create puts m into s.
func (m *Message) Create(t testing.TB, s queue.Store) {
	t.Helper()
	n, err := m.Stage(s)
	if err != nil {
		t.Fatalf("stage: %v", err)
	}
	defer n.Content.Discard()
	if err := s.Commit(t.Context(), &queue.Change{Create: []queue.NewMessage{n}, Sync: true}); err != nil {
		t.Fatalf("create: %v", err)
	}
}

// Changed returns a copy of d that fn has changed.
func Changed(d *queue.Delivery, fn func(*queue.Delivery)) *queue.Delivery {
	c := *d
	c.Recipients = append([]queue.RecipientState(nil), d.Recipients...)
	fn(&c)
	return &c
}

// checkContent reads c to its end and closes it.
func checkContent(c queue.Content, want []byte) error {
	got, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err = errors.Join(err, c.Close()); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%d octets differ from the %d that were committed", len(got), len(want))
	}
	return nil
}
