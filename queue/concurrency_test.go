package queue

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// narrow is a router whose one route has a bound of its own.
type narrow struct {
	mxRouter
	bound int
}

func (n narrow) Concurrency(Destination) int { return n.bound }

// A route's own bound holds however much the next hop would bear, and a changed
// one is in force for what waits already.
func TestRouteConcurrency(t *testing.T) {
	var running, most atomic.Int32
	inBubble(t, func(_ context.Context, a *Attempt) Outcome {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		time.Sleep(time.Second)
		return all(a, taken)
	}, func(r *rig) {
		for i := range 300 {
			r.send("a@x.example", fmt.Sprintf("u%d@y.example", i))
		}
		time.Sleep(30 * time.Second)
		if most.Load() != 3 {
			t.Errorf("%d attempts at once, the route allows 3", most.Load())
		}
		r.Reload(Reloadable{Router: narrow{bound: 7}})
		time.Sleep(time.Minute)
		synctest.Wait()
		if most.Load() != 7 {
			t.Errorf("%d attempts at once after the route was widened to 7", most.Load())
		}
		if r.store.count() != 0 {
			t.Errorf("%d messages left", r.store.count())
		}
	}, func(o *Options) { o.Router = narrow{bound: 3} })
}
