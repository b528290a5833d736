package queue

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// badSector is content whose second half can't be read.
type badSector struct{ Content }

func (c badSector) ReadAt(p []byte, off int64) (int, error) {
	if end := off + int64(len(p)); end > c.Size()/2 {
		return 0, errors.New("read: input/output error")
	}
	return c.Content.ReadAt(p, off)
}

// poison is content that panics whoever reads it.
type poison struct{ Content }

func (poison) ReadAt([]byte, int64) (int, error) { panic("input/output error") }

// One message that can't be read holds up no report, not even its own: that one
// goes without the message.
func TestReportWithoutItsMessage(t *testing.T) {
	for _, c := range []struct {
		reason string
		hurt   func(r *rig, id mail.ID)
	}{
		{"its content can't be opened", func(r *rig, id mail.ID) {
			r.damage(id, errors.New("open: input/output error"))
		}},
		{"its content can't be read to the end", func(r *rig, id mail.ID) {
			r.spoil(id, func(c Content) Content { return badSector{c} })
		}},
		{"composing its report panics", func(r *rig, id mail.ID) {
			r.spoil(id, func(c Content) Content { return poison{c} })
		}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			var got reports
			inBubble(t, got.deliver(alwaysUnreachable), func(r *rig) {
				c.hurt(r, r.send("a@x.example", "b@y.example"))
				for range 50 {
					r.send("a@x.example", "b@y.example")
				}
				time.Sleep(plan.WarnAfter + time.Hour)
				if n := got.with("Action: delayed"); n != 51 {
					t.Errorf("%d of 51 delays were reported", n)
				}
				time.Sleep(plan.Lifetime)
				if !strings.Contains(r.logs.String(), "input/output error") {
					t.Error("the log does not say why a message was left out")
				}
				if said, brought := got.with("Your message could not be read"), got.with("e message\r\nContent-Type:"); said != 2 || brought != 100 {
					t.Errorf("%d of 2 reports say that the message is missing, %d of 100 bring one back", said, brought)
				}
				if n := got.with("Action: failed"); n != 51 || r.store.count() != 0 {
					t.Errorf("%d of 51 failures were reported, %d messages are left", n, r.store.count())
				}
			})
		})
	}
}

// spoil changes what reading the content of a message is like.
func (r *rig) spoil(id mail.ID, bad func(Content) Content) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	r.store.messages[id].bad = bad
}

// One message that can't be changed, though the store works, keeps no other from
// being changed in the same sweep.
func TestOneOfManyCantBeChanged(t *testing.T) {
	var got reports
	inBubble(t, got.deliver(alwaysUnreachable), func(r *rig) {
		id := r.send("a@x.example", "b@y.example")
		for range 50 {
			r.send("a@x.example", "b@y.example")
		}
		time.Sleep(time.Hour)
		r.store.mu.Lock()
		r.store.refuse = func(c *Change) error {
			ofIt := func(d *Delivery) bool { return d.Message == id }
			if slices.ContainsFunc(c.Remove, ofIt) || slices.ContainsFunc(c.Put, func(m Move) bool { return ofIt(m.Old) }) {
				return errors.New("its record can't be read")
			}
			return nil
		}
		r.store.mu.Unlock()
		time.Sleep(plan.WarnAfter)
		if n := got.with("Action: delayed"); n != 50 {
			t.Errorf("%d of 50 delays were reported", n)
		}
		time.Sleep(plan.Lifetime)
		if n := got.with("Action: failed"); n != 50 || r.store.count() != 1 {
			t.Errorf("%d of 50 failures were reported, %d messages are left", n, r.store.count())
		}
		if err := r.Ready(); err != nil {
			t.Errorf("not ready: %v", err)
		}
	})
}
