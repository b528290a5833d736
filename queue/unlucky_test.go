package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// A message whose content can't be read is the operator's: he finds it, reads
// why, and may try again. Mail beside it goes on.
func TestDamagedMessageIsDead(t *testing.T) {
	var seen tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if seen.note(a) == 1 {
			return all(a, greylist)
		}
		return all(a, taken)
	}, func(r *rig) {
		id := r.send("a@x.example", "b@y.example")
		synctest.Wait()
		r.damage(id, fmt.Errorf("its checksum is wrong: %w", ErrDamaged))
		time.Sleep(10 * time.Minute)
		list, _, err := r.List(context.Background(), Selector{States: []State{Dead}}, DeliveryKey{}, 10)
		if err != nil || len(list) != 1 || list[0].ID != id {
			t.Fatalf("dead letters: %+v (%v)", list, err)
		}
		if to := list[0].To[0]; to.State != Dead || !strings.Contains(to.Reason, "checksum") {
			t.Errorf("the operator reads %q of %s", to.Reason, to.State)
		}
		if e := r.log.of(mail.EventDead); len(e) != 1 || e[0].ID != id || len(e[0].To) != 1 || e[0].To[0].String() != "b@y.example" {
			t.Errorf("told: %+v", e)
		}
		r.send("a@x.example", "c@y.example")
		synctest.Wait()
		if r.store.count() != 1 {
			t.Errorf("%d messages are left, want the damaged one", r.store.count())
		}
		if envelope, entries, err := r.Show(context.Background(), id); err != nil || envelope.From.String() != "<a@x.example>" || len(entries) != 1 {
			t.Errorf("show: %v %v %v", envelope, entries, err)
		}
		r.damage(id, nil) // restored from somewhere
		if n, err := r.Retry(context.Background(), Selector{IDs: []mail.ID{id}}); n != 1 || err != nil {
			t.Error(n, err)
		}
		synctest.Wait()
		if r.store.count() != 0 {
			t.Error("it is still there after it was tried again")
		}
	})
}

// What can't be read for a moment is tried again soon, without a trace in its
// own schedule.
func TestUnreadableForAMoment(t *testing.T) {
	var seen tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if seen.note(a) == 1 {
			return all(a, greylist)
		}
		return all(a, taken)
	}, func(r *rig) {
		id := r.send("a@x.example", "b@y.example")
		synctest.Wait()
		r.damage(id, errors.New("input/output error"))
		time.Sleep(3 * time.Minute)
		if seen.len() != 1 {
			t.Fatalf("%d attempts without content", seen.len())
		}
		r.damage(id, nil)
		time.Sleep(2 * unreadPause)
		if r.store.count() != 0 || seen.len() != 2 {
			t.Fatalf("%d left after %d attempts", r.store.count(), seen.len())
		}
		if last := seen.all()[1]; last.d.Attempts != 1 {
			t.Errorf("counted as attempt %d", last.d.Attempts+1)
		}
	})
}

// damage makes the content of a message unreadable, or readable again.
func (r *rig) damage(id mail.ID, err error) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	r.store.contentErr[id] = err
}

// Memory does not keep destinations that have had nothing to do for a while, and
// keeps those that have.
func TestIdleDestinationsAreForgotten(t *testing.T) {
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		if a.Delivery.Destination.Domain.String() == "late.example" {
			return all(a, greylist)
		}
		return all(a, taken)
	}, func(r *rig) {
		for i := range 500 {
			r.send("a@x.example", fmt.Sprintf("u@d%d.example", i))
		}
		r.send("a@x.example", "u@late.example")
		synctest.Wait()
		if n := r.hops(); n != 501 {
			t.Fatalf("%d destinations in memory", n)
		}
		time.Sleep(idleAfter + 3*keepEvery)
		if n := r.hops(); n != 1 {
			t.Errorf("%d destinations in memory, want the one with a backlog", n)
		}
	})
}

// hops returns how many destinations are in memory.
func (r *rig) hops() int {
	r.sched.mu.Lock()
	defer r.sched.mu.Unlock()
	return len(r.sched.hops)
}
