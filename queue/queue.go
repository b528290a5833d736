package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// Queue keeps mail until it is delivered, returned, or an operator's. Its methods
// are safe for concurrent use between Start and Stop.
type Queue struct {
	store     Store
	deliverer Deliverer
	recorder  mail.Recorder
	log       *slog.Logger
	owner     string

	bulkAbove int

	clock     *clock
	sched     *scheduler
	space     space
	unsettled unsettled

	author atomic.Pointer[author]
	retry  atomic.Pointer[retryPlan]
	router atomic.Pointer[Router]
	bound  atomic.Int64  // attempts at once at a destination whose router names none
	most   atomic.Int64  // recipients of one delivery
	table  atomic.Uint64 // generation of the route table
	rules  atomic.Pointer[[]HoldRule]

	freshSpent atomic.Int64 // octets, see freshBudget

	// warned is the message up to which delay reports are out, see sweep.
	warned atomic.Pointer[mail.ID]

	// hands is held by whoever changes deliveries outside of attempts:
	// operators, sweeps, re-keying. They never meet each other, only attempts.
	hands sync.Mutex

	// ctx is the attempts'; giveUp cancels it when Stop runs out of time.
	ctx    context.Context
	giveUp context.CancelFunc
	// opening ends with Stop's beginning, see Attempt.Opening.
	opening   context.Context
	close     context.CancelFunc
	accepting atomic.Bool
	entering  sync.RWMutex   // read-held by commits of incoming messages
	running   sync.WaitGroup // workers
	moved     chan struct{}  // says that the route table has changed
	beyond    atomic.Bool    // there may be something to recall
	doubtful  atomic.Bool    // there may be something stored that nobody knows of
	stop      chan struct{}  // closed by Stop
	keepers   sync.WaitGroup // the standing goroutines, see keep and tend
	lifecycle sync.Mutex     // guards state
	state     lifecycle
}

type lifecycle uint8

const (
	made lifecycle = iota
	started
	stopped
)

// New makes a queue over store. It does nothing until Start. The store stays its
// caller's, to be closed after Stop.
func New(store Store, o Options) *Queue {
	o.setDefaults()
	q := &Queue{
		store: store, deliverer: o.Deliverer, recorder: o.Recorder, log: o.Logger,
		owner:     o.Owner,
		bulkAbove: o.BulkAbove,
		clock:     newClock(o.Wall),
		moved:     make(chan struct{}, 1), stop: make(chan struct{}),
	}
	q.unsettled.wake = make(chan struct{}, 1)
	q.space.store, q.space.log = store, o.Logger
	q.space.limits.Store(&o.Limits)
	q.author.Store(&author{o.Hostname, o.Postmaster})
	q.retry.Store(&retryPlan{o.Retry})
	q.router.Store(&o.Router)
	q.rules.Store(new([]HoldRule))
	q.ctx, q.giveUp = context.WithCancel(context.Background())
	q.opening, q.close = context.WithCancel(q.ctx)
	q.bound.Store(int64(o.DestinationConcurrency))
	q.most.Store(int64(o.RecipientsPerDelivery))
	q.sched = newScheduler(q.plan, q.clock.now, q.concurrency, func() {
		q.running.Add(1)
		go q.work()
	})
	q.sched.max = o.Workers
	return q
}

func (q *Queue) plan() *retryPlan { return q.retry.Load() }

// concurrency returns how many attempts may run at once at d.
func (q *Queue) concurrency(d Destination) int {
	if n := (*q.router.Load()).Concurrency(d); n > 0 {
		return n
	}
	return int(q.bound.Load())
}

// Start takes up what the store holds and begins to deliver. The time it takes
// grows with the destinations that have a backlog, not with the messages.
func (q *Queue) Start(ctx context.Context) error {
	q.lifecycle.Lock()
	defer q.lifecycle.Unlock()
	if q.state != made {
		return errors.New("queue: started before")
	}
	saved, err := q.store.Meta(ctx, metaClock)
	if err != nil {
		return fmt.Errorf("reading the clock's state: %w", err)
	}
	if err := q.clock.resume(saved); err != nil {
		q.log.Warn("the clock's saved state is unreadable", "err", err)
	}
	if err := q.loadRules(ctx); err != nil {
		return err
	}
	if err := q.loadWarned(ctx); err != nil {
		return err
	}
	if err := q.store.Lanes(ctx, q.sched.restore); err != nil {
		return fmt.Errorf("reading the schedule: %w", err)
	}
	for _, d := range q.store.Damaged() {
		q.log.Error("damaged entry moved aside", "id", d.Message.String(), "where", d.Where, "what", d.What, "to", d.MovedTo)
	}
	q.beyond.Store(true) // the clock may have been set while the relay was off
	q.state = started
	q.accepting.Store(true)
	q.keepers.Go(q.keep)
	q.keepers.Go(q.tend)
	q.sched.resume()
	return nil
}

// Stop takes no more mail, starts no more attempts, gives up those that only wait
// for a connection, and waits for those whose transaction runs.
// When ctx ends they are broken off; what they had not finished is tried again
// after the next Start. An error says how many that were; it is ctx's if anything
// still runs after that. Further calls do nothing.
func (q *Queue) Stop(ctx context.Context) error {
	q.lifecycle.Lock()
	defer q.lifecycle.Unlock()
	if q.state != started {
		q.giveUp()
		return nil
	}
	q.state = stopped
	q.accepting.Store(false)
	q.sched.halt()
	q.close()
	broken := 0
	err := q.await(ctx, "attempts still run", func() {
		broken = q.sched.attempts()
		q.giveUp()
	}, func() {
		q.entering.Lock()
		//lint:ignore SA2001 it waits for commits that have begun
		q.entering.Unlock()
		q.running.Wait()
	})
	if err == nil && broken > 0 {
		err = fmt.Errorf("%d attempts were broken off", broken)
	}
	close(q.stop)
	q.giveUp()
	return errors.Join(err, q.await(ctx, "the store still works", func() {}, q.finish))
}

// finish ends what runs beside attempts and stores what it can of the rest.
func (q *Queue) finish() {
	q.keepers.Wait()
	q.resettle()
	if n := q.unsettled.len(); n > 0 {
		q.log.Error("deliveries could not be settled and will be repeated", "deliveries", n)
	}
	_ = q.probeStore() // saves the clock; its error is noted
	q.sched.dropFresh()
}

// lastMoment is how long before the end of its time Stop breaks off attempts, and
// how long after the end of a context without a deadline it waits for them.
const lastMoment = 500 * time.Millisecond

// await waits until wait returns, and calls late when ctx is about to end. If wait
// does not return then, the error says what that means.
func (q *Queue) await(ctx context.Context, otherwise string, late, wait func()) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		wait()
	}()
	patience, cancel := context.WithCancel(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		patience, cancel = context.WithDeadline(ctx, deadline.Add(-lastMoment))
	}
	defer cancel()
	select {
	case <-done:
		return nil
	case <-patience.Done():
	}
	late()
	select {
	case <-done:
		return nil
	case <-time.After(lastMoment):
		return fmt.Errorf("%s: %w", otherwise, context.Cause(patience))
	}
}

// Reload puts new settings in force. With a new route table waiting deliveries
// are moved to the destinations they belong to now, in the background, and
// suspended routes are probed at once.
func (q *Queue) Reload(r Reloadable) {
	if r.Hostname != "" {
		q.author.Store(&author{r.Hostname, r.Postmaster})
	}
	if r.Retry != nil {
		q.retry.Store(&retryPlan{*r.Retry})
		q.beyond.Store(true)
	}
	if r.Limits != nil {
		q.space.limits.Store(r.Limits)
	}
	if r.DestinationConcurrency > 0 {
		q.bound.Store(int64(r.DestinationConcurrency))
	}
	if r.RecipientsPerDelivery > 0 {
		q.most.Store(int64(r.RecipientsPerDelivery))
	}
	if r.Router != nil {
		q.router.Store(&r.Router)
	}
	q.sched.resize(r.Workers)
	if r.Router == nil {
		return
	}
	q.table.Add(1)
	select {
	case q.moved <- struct{}{}:
	default:
	}
	q.sched.reconsider()
}
