package queue

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// However many messages at the head of a lane can't be read, and however long it
// takes to find out, those behind them are delivered; and the disk is not asked for
// each of them without a pause.
func TestUnreadableMailHoldsUpNoOther(t *testing.T) {
	for _, c := range []struct {
		reason string
		bad    int
	}{
		{"less than a page", pageSize / 2},
		{"exactly a page", pageSize},
		{"more than come back in one pause", 400},
	} {
		t.Run(c.reason, func(t *testing.T) {
			var reads atomic.Int64
			inBubble(t, alwaysTaken, func(r *rig) {
				r.sched.halt()
				var last mail.ID
				for i := range c.bad {
					last = r.send("a@x.example", fmt.Sprintf("%d@y.example", i))
					r.damage(last, errors.New("input/output error"))
					time.Sleep(time.Millisecond)
				}
				for i := range 100 {
					r.send("a@x.example", fmt.Sprintf("good%d@y.example", i))
				}
				r.sched.dropFresh()
				r.store.onRead(func(id mail.ID) {
					if id.Compare(last) <= 0 {
						reads.Add(1)
						time.Sleep(100 * time.Millisecond) // a disk
					}
				})
				r.sched.resume()
				time.Sleep(5 * time.Minute)
				if n := r.store.count(); n != c.bad {
					t.Errorf("%d of 100 messages wait behind %d that can't be read", n-c.bad, c.bad)
				}
				reads.Store(0)
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				if n, most := reads.Load(), int64(2*c.bad)*int64(10*time.Minute/unreadPause); n == 0 || n > most {
					t.Errorf("they were read %d times in ten minutes, want some and at most %d", n, most)
				}
				r.repair()
				time.Sleep(10 * time.Minute)
				if n := r.store.count(); n != 0 {
					t.Errorf("%d of %d are left after they could be read again", n, c.bad)
				}
			}, func(o *Options) { o.Retry.WarnAfter = 0 })
		})
	}
}

// repair makes all content readable again.
func (r *rig) repair() {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	clear(r.store.contentErr)
}

// What is left alone for a moment is shown as what it is. An operator's command need
// not wait, and finds it attempted as any other after that.
func TestParkedMailIsTheOperators(t *testing.T) {
	ctx := context.Background()
	var gate chan struct{} // made in the bubble
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		<-gate
		return all(a, taken)
	}, func(r *rig) {
		gate = make(chan struct{})
		r.sched.halt()
		id := r.send("a@x.example", "b@y.example")
		r.damage(id, errors.New("input/output error"))
		r.sched.dropFresh()
		r.sched.resume()
		synctest.Wait()
		list, _, err := r.List(ctx, Selector{IDs: []mail.ID{id}}, DeliveryKey{}, 10)
		if err != nil || len(list) != 1 || list[0].Attempting {
			t.Fatalf("listed: %+v (%v)", list, err)
		}
		if n, err := r.Hold(ctx, Selector{IDs: []mail.ID{id}}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if s := r.states(); s[Held] != 1 {
			t.Errorf("held at once: %v", s)
		}
		r.damage(id, nil)
		if n, err := r.Release(ctx, Selector{IDs: []mail.ID{id}}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		synctest.Wait()
		if n, err := r.Delete(ctx, Selector{IDs: []mail.ID{id}}); n != 1 || err != nil || r.store.count() != 1 {
			t.Errorf("deleted %d (%v) under an attempt that runs", n, err)
		}
		close(gate)
		synctest.Wait()
		if n := r.store.count(); n != 0 {
			t.Errorf("%d left", n)
		}
	})
}

// More than may be parked are tried again all the same, with a pause.
func TestMoreUnreadableThanAreParked(t *testing.T) {
	var reads atomic.Int64
	inBubble(t, alwaysTaken, func(r *rig) {
		r.sched.halt()
		for i := range maxParked + 3*pageSize {
			r.damage(r.send("a@x.example", fmt.Sprintf("%d@y.example", i)), errors.New("input/output error"))
		}
		r.sched.dropFresh()
		r.store.onRead(func(mail.ID) { reads.Add(1) })
		r.sched.resume()
		time.Sleep(time.Minute)
		all := int64(r.store.count())
		if n := reads.Load(); n > 2*all*int64(time.Minute/unreadPause) {
			t.Errorf("%d messages were read %d times in a minute", all, n)
		}
		r.repair()
		time.Sleep(5 * time.Minute)
		if n := r.store.count(); n != 0 {
			t.Errorf("%d of %d are left after they could be read again", n, all)
		}
	})
}

// What fails here and there now and then keeps nothing else that was parked waiting.
func TestParkedAmongNewcomers(t *testing.T) {
	var seen tries
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		seen.note(a)
		return all(a, taken)
	}, func(r *rig) {
		r.sched.halt()
		first := r.send("a@x.example", "first@y.example")
		r.damage(first, errors.New("input/output error"))
		r.sched.dropFresh()
		r.sched.resume()
		synctest.Wait()
		r.damage(first, nil)
		for range 12 { // each of them fails within the pause of the one before
			time.Sleep(unreadPause * 2 / 3)
			r.sched.halt()
			id := r.send("a@x.example", "other@y.example")
			r.damage(id, errors.New("input/output error"))
			r.sched.dropFresh()
			r.sched.resume()
			synctest.Wait()
		}
		if seen.len() != 1 {
			t.Errorf("%d attempts after two minutes, want one at what has long been readable", seen.len())
		}
	})
}
