package queue

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// rotten is content whose beginning can be read and whose end can't.
type rotten struct{ Content }

func (rotten) ReadAt(p []byte, off int64) (int, error) {
	return 0, fmt.Errorf("reading at %d: %w", off, ErrDamaged)
}

// damageEnvelope makes the record of a message unreadable.
func (r *rig) damageEnvelope(id mail.ID) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	r.store.envelopeErr[id] = fmt.Errorf("block: %w", ErrDamaged)
}

// A message whose envelope can't be read is the operator's like any other that is
// damaged: he can look at it and delete it by its id.
func TestUnreadableEnvelope(t *testing.T) {
	ctx := context.Background()
	inBubble(t, alwaysGreylisted, func(r *rig) {
		id := r.send("a@x.example", "b@y.example")
		synctest.Wait()
		r.damageEnvelope(id)
		time.Sleep(10 * time.Minute)
		if _, entries, err := r.Show(ctx, id); err != nil || len(entries) != 1 || entries[0].State != Dead {
			t.Errorf("shown: %+v (%v)", entries, err)
		}
		list, _, err := r.List(ctx, Selector{IDs: []mail.ID{id}}, DeliveryKey{}, 10)
		if err != nil || len(list) != 1 {
			t.Errorf("listed: %+v (%v)", list, err)
		}
		if n, err := r.Delete(ctx, Selector{IDs: []mail.ID{id}}); n != 1 || err != nil || r.store.count() != 0 {
			t.Errorf("%d deleted (%v), %d left", n, err, r.store.count())
		}
	})
}

// What an operator asked for while that turned out is done.
func TestDeletedWhileItsEnvelopeIsRead(t *testing.T) {
	inBubble(t, alwaysGreylisted, func(r *rig) {
		id := r.send("a@x.example", "b@y.example")
		synctest.Wait()
		var asked atomic.Bool
		r.store.onRead(func(mail.ID) {
			if asked.Swap(true) {
				return
			}
			if n, err := r.Delete(context.Background(), Selector{IDs: []mail.ID{id}}); n != 1 || err != nil {
				t.Error(n, err)
			}
			r.damageEnvelope(id)
		})
		time.Sleep(10 * time.Minute)
		if n := r.store.count(); n != 0 || strings.Contains(r.logs.String(), "panic") {
			t.Errorf("%d left; the log:\n%s", n, r.logs)
		}
	})
}

// What was moved aside of a message is dropped with it, if the operator names it and
// nothing else.
func TestDeleteWhatIsAside(t *testing.T) {
	inBubble(t, alwaysTaken, func(r *rig) {
		id := mail.NewID(r.clock.now())
		r.store.aside = map[mail.ID]bool{id: true}
		ids := []mail.ID{id}
		if n, err := r.Delete(context.Background(), Selector{IDs: ids, Route: "mx"}); n != 0 || err != nil {
			t.Errorf("by a route: %d deleted (%v)", n, err)
		}
		for _, want := range []int{1, 0} {
			if n, err := r.Delete(context.Background(), Selector{IDs: ids}); n != want || err != nil {
				t.Errorf("%d deleted (%v), want %d", n, err, want)
			}
		}
	})
}

// Content that turns out to be damaged while it is sent is no fault of the next
// hop's: the operator gets the message at once, the sender no odd report.
func TestContentDamagedInTheMiddle(t *testing.T) {
	var seen tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		seen.note(a)
		a.Content.(*readContent).Content = rotten{a.Content.(*readContent).Content}
		if _, err := a.Content.ReadAt(make([]byte, 1), 0); err == nil {
			t.Error("the content can be read: the test shows nothing")
		}
		return all(a, greylist)
	}, func(r *rig) {
		id := r.send("a@x.example", "b@y.example")
		synctest.Wait()
		list, _, err := r.List(context.Background(), Selector{States: []State{Dead}}, DeliveryKey{}, 10)
		if err != nil || len(list) != 1 || list[0].ID != id {
			t.Fatalf("dead letters: %+v (%v)", list, err)
		}
		if seen.len() != 1 || len(r.log.of(mail.EventDead)) != 1 || len(r.log.of(mail.EventDeferred)) != 0 {
			t.Errorf("%d attempts, dead told %d times, deferred %d times", seen.len(),
				len(r.log.of(mail.EventDead)), len(r.log.of(mail.EventDeferred)))
		}
	})
}

// What stands elsewhere once the store has been opened anew is found there.
func TestStoreReopened(t *testing.T) {
	ctx := context.Background()
	inBubble(t, func(_ context.Context, a *Attempt) Outcome { return all(a, taken) }, func(r *rig) {
		r.sched.halt()
		id := r.send("a@x.example", "b@y.example")
		if n, err := r.Hold(ctx, Selector{IDs: []mail.ID{id}}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		r.sched.resume()
		held, err := r.store.Delivery(ctx, DeliveryKey{Message: id, Number: 0})
		if err != nil {
			t.Fatal(err)
		}
		active := held.clone()
		active.State = Active
		if err := r.store.Commit(ctx, &Change{Put: []Move{{Old: held, New: active}}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if r.store.count() != 1 {
			t.Fatal("it was found all the same")
		}
		r.store.reopened.Add(1)
		time.Sleep(2 * time.Minute)
		if r.store.count() != 0 {
			t.Error("it is not attempted")
		}
	})
}
