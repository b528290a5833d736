package queue

import (
	"context"
	"errors"

	"github.com/postrider/postrider/internal/mail"
)

var (
	errStopped = mail.Errorf(421, mail.EnhancedCode{4, 3, 2}, "shutting down, try again later")
	errSpent   = errors.New("message was committed or discarded before")
)

// Incoming is a message on its way in. Content is written to it; then either
// Commit or Discard ends it. It is for one goroutine.
type Incoming struct {
	q     *Queue
	id    mail.ID
	stage Stage
	size  int64 // written so far
}

// lookEvery is after how many octets of one message the bounds are looked at
// again.
const lookEvery = 1 << 20

// Receive begins a message. Its errors, and those of Write and Commit, are
// *mail.Error: 452 4.3.1 beyond queue.max_bytes or below queue.min_free or on a
// full disk, 451 4.3.0 if the store fails otherwise, 421 after Stop.
func (q *Queue) Receive(context.Context) (*Incoming, error) {
	if !q.accepting.Load() {
		return nil, errStopped
	}
	if err := q.space.room(0); err != nil {
		return nil, err
	}
	stage, err := q.store.Stage()
	if err != nil {
		q.space.noteFailure(err)
		return nil, refuse(err)
	}
	return &Incoming{q: q, id: mail.NewID(q.clock.now()), stage: stage}, nil
}

// ID is the name the message will have in the queue, for its Received field.
func (in *Incoming) ID() mail.ID { return in.id }

// Size is what has been written so far, in octets.
func (in *Incoming) Size() int64 { return in.size }

// Write adds content.
func (in *Incoming) Write(p []byte) (int, error) {
	if in.stage == nil {
		return 0, errSpent
	}
	n, err := in.stage.Write(p)
	before := in.size
	in.size += int64(n)
	in.q.space.write(n)
	switch {
	case err != nil:
		in.q.space.noteFailure(err)
		return n, refuse(err)
	case before/lookEvery != in.size/lookEvery:
		return n, in.q.space.room(0)
	}
	return n, nil
}

// Commit makes the message durable and puts it in the queue; after nil it is the
// queue's. It completes e with ID, Arrival and Size, and e must not change any
// more. After an error nothing is kept. ctx is only for giving up before the
// commit has begun.
func (in *Incoming) Commit(ctx context.Context, e *mail.Envelope, disposition Disposition) error {
	if in.stage == nil {
		return errSpent
	}
	defer in.Discard()
	q := in.q
	q.entering.RLock() // Stop waits for commits that have begun
	defer q.entering.RUnlock()
	if !q.accepting.Load() {
		return errStopped
	}
	if err := ctx.Err(); err != nil {
		return errLocal.Because(err)
	}
	if err := q.space.room(0); err != nil {
		return err // what is staged counts already
	}
	e.ID, e.Size, e.Arrival = in.id, in.size, q.clock.now()
	deliveries := q.plot(e, disposition)
	b := born{message: NewMessage{Envelope: e, Deliveries: deliveries, Content: in.stage}}
	q.sched.expect(deliveries)
	c := &Change{Create: []NewMessage{b.message}, Sync: true}
	if err := q.commit(c); err != nil {
		q.sched.forsake(deliveries)
		return refuse(err)
	}
	q.enter([]born{b})
	return nil
}

// Discard frees what was written. After Commit it does nothing.
func (in *Incoming) Discard() {
	if in.stage == nil {
		return
	}
	in.stage.Discard()
	in.q.space.staged.Add(-in.size)
	in.stage = nil
}
