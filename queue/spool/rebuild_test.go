package spool

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/storetest"
)

// rebuilt returns a spool that has made its schedule anew, after hurt has done
// something to what it is made from.
func rebuilt(t *testing.T, hurt func(b *pebble.Batch, id mail.ID)) (s *Spool, victim, well *storetest.Message) {
	t.Helper()
	fs := vfs.NewMem()
	victim, well = twoMessages(t, fs, 100)
	s = mustOpen(t, fs, "spool")
	b := s.current.db.NewBatch()
	hurt(b, victim.Envelope.ID)
	_ = b.Set(rebuildingKey, nil, nil)
	if err := s.current.db.Apply(b, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return mustOpen(t, fs, "spool"), victim, well
}

// TestMessageWithoutDeliveries: nobody knows any more who has it already, so it is the
// operator's, for all its recipients.
func TestMessageWithoutDeliveries(t *testing.T) {
	s, victim, _ := rebuilt(t, func(b *pebble.Batch, id mail.ID) {
		for number := range uint32(2) {
			_ = b.Delete(appendDeliveryKey(nil, queue.DeliveryKey{Message: id, Number: number}), nil)
		}
	})
	id := victim.Envelope.ID
	if d := s.Damaged(); len(d) != 1 || d[0].Message != id || d[0].Remedy == "" {
		t.Errorf("reported: %+v", d)
	}
	dead, err := s.InState(t.Context(), queue.Dead, queue.DeliveryKey{}, 10)
	if err != nil || len(dead) != 1 || dead[0].Message != id {
		t.Fatalf("dead: %v (%v)", dead, err)
	}
	d, err := s.Delivery(t.Context(), dead[0])
	if err != nil || len(d.Recipients) != 2 || d.Recipients[1].State != queue.Dead || d.Recipients[1].Reason == "" || d.Size != 100 {
		t.Errorf("%+v (%v)", d, err)
	}
	if found := faultsFound(t, s); len(found) > 0 {
		t.Errorf("verify: %v", found)
	}
	if n := s.Totals().Messages; n != 2 {
		t.Errorf("%d messages counted", n)
	}
	if err := s.Commit(t.Context(), &queue.Change{Remove: []*queue.Delivery{d}}); err != nil {
		t.Error(err)
	}
	if _, err := s.Envelope(t.Context(), id); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("when it is dropped: %v", err)
	}
}

// TestUndecodableAtRebuild: a record that has no place in the schedule is met by nobody.
// It is moved aside with its message, where it can be dropped.
func TestUndecodableAtRebuild(t *testing.T) {
	for _, c := range []struct {
		reason string
		key    func(id mail.ID) []byte
	}{
		{"message record", func(id mail.ID) []byte { return appendIDKey(nil, tableMessage, id) }},
		{"delivery record", func(id mail.ID) []byte { return appendDeliveryKey(nil, queue.DeliveryKey{Message: id, Number: 1}) }},
	} {
		t.Run(c.reason, func(t *testing.T) {
			s, victim, well := rebuilt(t, func(b *pebble.Batch, id mail.ID) {
				_ = b.Delete(c.key(id), nil)
				_ = b.Set(c.key(id), []byte("\xffnonsense"), nil)
			})
			id := victim.Envelope.ID
			if d := s.Damaged(); len(d) != 1 || d[0].Message != id || d[0].MovedTo == "" {
				t.Errorf("reported: %+v", d)
			}
			if list, err := s.Messages(t.Context(), mail.ID{}, 10); err != nil || len(list) != 1 || list[0].ID != well.Envelope.ID {
				t.Errorf("left: %v (%v)", list, err)
			}
			for _, d := range faultsFound(t, s) {
				if d.Message != id || d.What != "was moved aside earlier" {
					t.Errorf("verify: %+v", d)
				}
			}
			if was, err := s.Forget(t.Context(), id); err != nil || !was {
				t.Errorf("forgetting it: %t (%v)", was, err)
			}
			if found := faultsFound(t, s); len(found) > 0 {
				t.Errorf("verify when it is forgotten: %v", found)
			}
		})
	}
}
