package queue

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// A delivery that moved while its old lane was being read is in the pages of both
// for a moment. One worker takes it from the old one; another meets it in the new
// one, sees that it is claimed, and drops it. So the first must put it back.
func TestMovedWhileItsLaneWasRead(t *testing.T) {
	inBubble(t, alwaysTaken, func(r *rig) {
		s := r.sched
		s.halt()
		id := r.send("a@x.example", "b@y.example")
		key := DeliveryKey{Message: id}
		d, err := r.store.Delivery(context.Background(), key)
		if err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		stale := s.hop(Destination{Route: "before"}).lane(Lane{Destination: Destination{Route: "before"}, Identity: d.Identity})
		stale.hop.running++
		s.begin(d.Identity, turnLight)
		s.claimed[key] = nil // the first worker's
		l := s.hop(d.Destination).lane(d.Lane())
		e := l.pop() // the second worker's
		e.fresh.drop()
		s.mu.Unlock()
		r.attempt(job{lane: stale, entry: entry{Place: d.place()}})
		s.resume()
		time.Sleep(time.Hour)
		if n := r.store.count(); n != 0 {
			t.Errorf("%d left: nobody attempts it any more", n)
		}
	})
}

// What operators want done with a delivery while it is somebody's is done when it
// is free again, in the order they asked for it, whatever became of the attempt.
func TestWishesAreGrantedInOrder(t *testing.T) {
	ctx := context.Background()
	everything := Selector{All: true}
	deferred := func(r *rig, a *Attempt) Outcome { return all(a, greylist) }
	paced := func(r *rig, a *Attempt) Outcome { return Outcome{Wait: 30 * time.Minute} }
	type command func(*Queue, context.Context, Selector) (int, error)
	tests := []struct {
		why     string
		outcome func(*rig, *Attempt) Outcome
		ask     []command
		left    map[State]int
	}{
		{"retried after it was deleted", deferred, []command{(*Queue).Delete, (*Queue).Retry}, map[State]int{}},
		{"held after it was deleted", deferred, []command{(*Queue).Delete, (*Queue).Hold}, map[State]int{}},
		{"retried again and again after it was deleted", deferred, []command{(*Queue).Delete, (*Queue).Retry, (*Queue).Retry}, map[State]int{}},
		{"retried and held", deferred, []command{(*Queue).Retry, (*Queue).Hold}, map[State]int{Held: 1}},
		{"deleted while the pace is used up", paced, []command{(*Queue).Delete}, map[State]int{}},
		{"held while the pace is used up", paced, []command{(*Queue).Hold}, map[State]int{Held: 1}},
		{"nothing asked for while the pace is used up", paced, nil, map[State]int{Active: 1}},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			var r *rig
			asking := true
			inBubble(t, func(_ context.Context, a *Attempt) Outcome {
				if !asking {
					return all(a, greylist)
				}
				asking = false
				for _, ask := range test.ask {
					if n, err := ask(r.Queue, ctx, everything); err != nil || n > 1 {
						t.Errorf("%d, %v", n, err)
					}
				}
				return test.outcome(r, a)
			}, func(started *rig) {
				r = started
				r.send("a@x.example", "b@y.example")
				synctest.Wait()
				if s := r.states(); fmt.Sprint(s) != fmt.Sprint(test.left) {
					t.Errorf("left %v, want %v", s, test.left)
				}
			})
		})
	}
}

// A delivery whose content can't be read for the moment is deleted all the same
// if an operator asks for it while that is found out.
func TestDeletedWhileItCannotBeRead(t *testing.T) {
	inBubble(t, alwaysTaken, func(r *rig) {
		s := r.sched
		s.halt()
		id := r.send("a@x.example", "b@y.example")
		r.damage(id, errors.New("input/output error"))
		r.sched.dropFresh()
		s.mu.Lock()
		s.halted = 0
		s.mu.Unlock()
		j, ok := s.next()
		if !ok || j.entry.Message != id {
			t.Fatalf("not taken: %+v", j)
		}
		if n, err := r.Delete(context.Background(), Selector{IDs: []mail.ID{id}}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		r.attempt(j)
		if n := r.store.count(); n != 0 {
			t.Errorf("%d left of what was deleted", n)
		}
		s.mu.Lock()
		s.workers = 0
		s.mu.Unlock()
	})
}
