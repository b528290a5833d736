package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

var metaKeys = []string{"a", "b"}

// Script is a random history of a queue: it accepts, defers, holds, releases,
// bounces and finishes. Every step is one Commit.
type Script struct {
	// Model is what the store holds if every step so far was done.
	Model *Model
	r     *rand.Rand
	now   time.Time
}

// Step is one Commit that a script wants.
type Step struct {
	Name string
	// Sync and Create say what the change has.
	Sync, Create, Others bool
	// After is the model once the step is done.
	After *Model
	do    func(ctx context.Context, s queue.Store) error
}

// NewScript returns a script whose steps depend on seed and on nothing else but
// the random part of ids.
func NewScript(seed uint64) *Script {
	return &Script{Model: NewModel(), r: rand.New(rand.NewPCG(seed, 0)), now: Start}
}

// Do commits the step.
func (st *Step) Do(ctx context.Context, s queue.Store) error { return st.do(ctx, s) }

// Next returns the next step. The caller sets Model to its After if it was done.
func (sc *Script) Next() *Step {
	sc.now = sc.now.Add(time.Duration(1+sc.r.IntN(60000)) * time.Millisecond)
	keys := sc.Model.keys()
	if len(keys) == 0 {
		return sc.accept()
	}
	d := sc.Model.deliveries[keys[sc.r.IntN(len(keys))]]
	switch n := sc.r.IntN(100); {
	case n < 35:
		return sc.accept()
	case n < 55:
		return sc.settle("finish", nil, d)
	case n < 65:
		return sc.settle("bounce", sc.message(2000), d)
	case n < 80:
		return sc.move("defer", d, func(d *queue.Delivery) {
			d.State, d.Due = queue.Deferred, sc.now.Add(time.Minute)
			d.Attempts++
			d.Refused = []string{"", "", "<a\x00@example.org>"}[sc.r.IntN(3)]
			d.Recipients[0].State, d.Recipients[0].At = queue.Deferred, sc.now
			d.Recipients[0].Reply = mail.Reply{Code: 451, Enhanced: mail.EnhancedCode{4, 3, 0}, Text: "later"}
		})
	case n < 95:
		state := []queue.State{queue.Held, queue.Captured, queue.Dead, queue.Active, queue.Active}[sc.r.IntN(5)]
		return sc.move(state.String(), d, func(d *queue.Delivery) {
			if d.State = state; state == queue.Active && d.Attempts > 0 {
				d.State = queue.Deferred
			}
		})
	default:
		return sc.meta()
	}
}

// message returns a message to one, or now and then several destinations.
func (sc *Script) message(size int) *Message {
	var to []queue.Destination
	for range 1 + max(0, sc.r.IntN(6)-2) {
		to = append(to, Destination(sc.r.IntN(4)))
	}
	return NewMessage(sc.r, sc.now, size, to...)
}

func (sc *Script) accept() *Step {
	size := sc.r.IntN(4000)
	if sc.r.IntN(5) == 0 {
		size = 64<<10 + sc.r.IntN(64<<10)
	}
	return sc.settle("accept", sc.message(size), nil)
}

// settle creates a message, ends a delivery, or both in one change. Ends alone
// are not synced, as in the queue.
func (sc *Script) settle(name string, n *Message, d *queue.Delivery) *Step {
	after := sc.Model.Clone()
	if n != nil {
		after.Add(n)
	}
	if d != nil {
		after.remove(d.DeliveryKey)
	}
	return &Step{Name: name, Sync: n != nil, Create: n != nil, Others: d != nil, After: after,
		do: func(ctx context.Context, s queue.Store) error {
			c := &queue.Change{Sync: n != nil}
			if n != nil {
				staged, err := n.Stage(s)
				if err != nil {
					return err
				}
				defer staged.Content.Discard()
				c.Create = append(c.Create, staged)
			}
			if d != nil {
				c.Remove = append(c.Remove, d)
			}
			return s.Commit(ctx, c)
		}}
}

func (sc *Script) move(name string, old *queue.Delivery, fn func(*queue.Delivery)) *Step {
	moved := Changed(old, fn)
	after := sc.Model.Clone()
	after.deliveries[old.DeliveryKey] = moved
	sync := sc.r.IntN(2) == 0
	return &Step{Name: name, Sync: sync, Others: true, After: after, do: func(ctx context.Context, s queue.Store) error {
		return s.Commit(ctx, &queue.Change{Put: []queue.Move{{Old: old, New: moved}}, Sync: sync})
	}}
}

func (sc *Script) meta() *Step {
	key, value := metaKeys[sc.r.IntN(len(metaKeys))], []byte(sc.now.String())
	after := sc.Model.Clone()
	after.meta[key] = string(value)
	if sc.r.IntN(3) == 0 {
		value = nil
		delete(after.meta, key)
	}
	return &Step{Name: "meta", Sync: true, Others: true, After: after, do: func(ctx context.Context, s queue.Store) error {
		return s.Commit(ctx, &queue.Change{Meta: map[string][]byte{key: value}, Sync: true})
	}}
}

// Play does steps until n are done and returns the first error.
func (sc *Script) Play(ctx context.Context, s queue.Store, n int) error {
	for range n {
		step := sc.Next()
		if err := step.Do(ctx, s); err != nil {
			return errors.Join(errors.New(step.Name), err)
		}
		sc.Model = step.After
	}
	return nil
}
