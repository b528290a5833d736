package queue

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// Errors a Store returns, wrapped with detail.
var (
	// ErrNotFound: no such message or delivery. It may just have been finished.
	ErrNotFound = errors.New("not in the queue")
	// ErrNoSpace: the disk is full or read-only. Temporary.
	ErrNoSpace = errors.New("no space for messages")
	// ErrDamaged: what is stored can't be read. It says what and where.
	ErrDamaged = errors.New("damaged")
)

// Store keeps messages over crashes. An engine implements it without knowing
// anything about time, retries or reports; the queue is its only user and keeps
// its contract: it changes a delivery from one goroutine at a time. Several
// goroutines may commit at once, and concurrent commits share their disk syncs.
type Store interface {
	// Stage opens a place for the content of a message to come. Content that
	// is not committed leaves nothing behind, also after a crash.
	Stage() (Stage, error)

	// Commit does all of c or nothing. With c.Sync it returns once c is on
	// stable storage; without, c may be lost by a power cut, and only together
	// with everything committed after it. After an error that the disk has caused c
	// may have been done nevertheless, unless it only creates messages. Without
	// space those that only create are refused, and others are tried.
	Commit(ctx context.Context, c *Change) error

	// Envelope returns a message's envelope; Content opens its content.
	Envelope(ctx context.Context, id mail.ID) (*mail.Envelope, error)
	Content(ctx context.Context, id mail.ID) (Content, error)

	// Deliveries returns the unfinished deliveries of a message in order of
	// their numbers; Delivery returns one.
	Deliveries(ctx context.Context, id mail.ID) ([]*Delivery, error)
	Delivery(ctx context.Context, key DeliveryKey) (*Delivery, error)

	// Lanes calls fn for each lane with anything in its schedule, with the
	// first due time in it. The time it takes grows with the lanes, not with
	// the messages.
	Lanes(ctx context.Context, fn func(lane Lane, first time.Time) error) error

	// Due returns places in lane in order: those after "after" (the zero Place
	// for the beginning), with a due time up to until, at most limit of them.
	Due(ctx context.Context, lane Lane, after Place, until time.Time, limit int) ([]Place, error)

	// Messages returns messages in order of arrival from the first ID that
	// is not smaller than from, at most limit of them. Unreadable ones are
	// left out; Verify reports them.
	Messages(ctx context.Context, from mail.ID, limit int) ([]Message, error)

	// Survey calls fn for each unfinished delivery, in no order. It reads
	// nothing but where they stand, so that a million take about a second.
	Survey(ctx context.Context, fn func(to Destination, s State, id mail.ID)) error

	// InState returns keys of deliveries that are Held, Captured or Dead, after
	// the given key, at most limit of them.
	InState(ctx context.Context, s State, after DeliveryKey, limit int) ([]DeliveryKey, error)

	// Totals returns messages, deliveries and octets by destination and state,
	// kept up to date by every commit.
	Totals() Totals

	// Meta keeps small values of the queue's own, such as how far a sweep got.
	// A missing key gives nil. They are set by Change.Meta.
	Meta(ctx context.Context, key string) ([]byte, error)

	// Damaged returns what was found unreadable and moved aside since Open. Forget
	// removes what lies aside of a message, and reports whether there was anything.
	Damaged() []Damage
	Forget(ctx context.Context, id mail.ID) (bool, error)

	// Reopened returns how often the store went on from what is on the disk since
	// Open. Then deliveries may stand in other lanes than their last commit says.
	Reopened() int64

	// Verify reads everything and calls report for each fault it finds, and
	// progress now and then with the octets of content read and those there are; it
	// may be nil. It changes nothing and may run beside other calls.
	Verify(ctx context.Context, report func(Damage), progress func(done, total int64)) error

	// Free returns the octets that are free on the disk below the store, an
	// error while it takes no new messages, and Used those that its messages take up.
	Free() (uint64, error)
	Used() int64

	Close() error
}

// Message is a message in the store with its unfinished deliveries, in order of
// their numbers.
type Message struct {
	*mail.Envelope
	Deliveries []*Delivery
}

// Stage receives the content of one message. Nothing of it counts before a
// Commit names it.
type Stage interface {
	io.Writer
	// Size is what has been written so far, in octets.
	Size() int64
	// Content reads what has been written. It stays readable after the commit
	// until it is closed, without a read from disk where it is small.
	Content() (Content, error)
	// Discard frees everything. After a successful Commit it does nothing.
	Discard()
}

// Change is what one Commit does.
type Change struct {
	Create []NewMessage
	// Put replaces the state of deliveries that exist.
	Put []Move
	// Remove ends deliveries. A message whose last delivery ends is removed with
	// its content.
	Remove []*Delivery
	// Meta sets values; a nil value deletes.
	Meta map[string][]byte
	Sync bool
}

// NewMessage is a message to be stored.
type NewMessage struct {
	Envelope   *mail.Envelope
	Deliveries []*Delivery
	Content    Stage
}

// Move changes a delivery from one stored state to another. Old is what is
// stored now, so that its place in the schedule need not be looked up.
type Move struct {
	Old, New *Delivery
}

// Lane is a part of the schedule whose entries are taken in order of their due
// time: the deliveries of one identity to one destination, new ones, retries and
// bulk apart, and those of each refused sender.
type Lane struct {
	Destination Destination
	Identity    string
	Class       Class
	Sender      string // Delivery.Refused, in ClassRefused
}

// Class keeps apart what must not wait for each other within one identity.
type Class uint8

// Classes, in order of precedence.
const (
	ClassNew Class = iota
	ClassBulk
	ClassRetry
	ClassRefused
)

// Lane returns the lane that d belongs to.
func (d *Delivery) Lane() Lane {
	class := ClassRetry
	switch {
	case d.Refused != "":
		class = ClassRefused
	case d.Attempts == 0 && d.Bulk:
		class = ClassBulk
	case d.Attempts == 0:
		class = ClassNew
	}
	return Lane{Destination: d.Destination, Identity: d.Identity, Class: class, Sender: d.Refused}
}

// Place is where a delivery stands in its lane.
type Place struct {
	Due time.Time // to the millisecond
	DeliveryKey
}

// Total counts what is stored.
type Total struct {
	Deliveries int64
	Recipients int64
	Bytes      int64 // content octets, counted once for each delivery
}

// Totals are counts by destination and state.
type Totals struct {
	Messages int64
	Bytes    int64 // content octets, counted once for each message
	By       map[Destination]map[State]Total
}

// Damage is something stored that can't be read.
type Damage struct {
	Message mail.ID // zero if not even that is known
	Where   string  // a key or a file name
	What    string
	// MovedTo is where it was put, so that it is not in the way.
	MovedTo string
	// From and To are the message's reverse-path and its recipients, separated by
	// commas; empty if they are not known.
	From, To string
	// Remedy says what it means and what an operator can do about it.
	Remedy string
}
