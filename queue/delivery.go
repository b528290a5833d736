package queue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// State is where a delivery or one of its recipients stands.
type State uint8

// States of deliveries and recipients. A delivery is Active until its first
// attempt failed or its sender was refused, then Deferred; both are in the schedule,
// and the lane tells which it is (Lane.State). Held, Captured and Dead wait for the
// operator. Delivered, Bounced and Expired are ends; they occur for recipients of a
// delivery that goes on for others.
const (
	Active State = iota
	Deferred
	Held
	Captured
	Dead
	Delivered
	Bounced
	Expired
)

var stateNames = [...]string{"active", "deferred", "held", "captured", "dead", "delivered", "bounced", "expired"}

// String returns the word users see.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// MarshalText writes the word users see.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word users see.
func (s *State) UnmarshalText(word []byte) error {
	i := slices.Index(stateNames[:], string(word))
	if i < 0 {
		return fmt.Errorf("%q is no state of a delivery", word)
	}
	*s = State(i)
	return nil
}

// Final reports whether nothing more happens to a recipient in state s.
func (s State) Final() bool { return s >= Delivered }

// DeliveryKey names a delivery: its message and its number within it.
type DeliveryKey struct {
	Message mail.ID
	Number  uint32
}

// Delivery is the durable state of one delivery.
type Delivery struct {
	DeliveryKey
	// Owner is the relay that may attempt it: its queue's name, for stores that
	// several relays share. The embedded store keeps it and ignores it.
	Owner       string
	Destination Destination
	// Identity is the sender's, for fairness between identities.
	Identity string
	State    State
	// Bulk marks a delivery of a message with very many recipients; others of
	// its identity go first.
	Bulk bool
	// Due is when the next attempt may run. Arrival is the message's.
	Due, Arrival time.Time
	Attempts     int
	// InDoubt names the host that took the whole content and never answered;
	// the next attempt begins there. Empty if the last outcome is known.
	InDoubt string
	// Refused is the message's reverse-path while a smarthost takes no mail from
	// it: the delivery stands aside with the others from there, see senders. It is
	// Deferred then, attempted or not.
	Refused string
	// Warned says that a delay report has been sent.
	Warned bool
	// Size is that of the content, in octets.
	Size       int64
	Recipients []RecipientState
}

// RecipientState is where one recipient of a delivery stands.
type RecipientState struct {
	// Index is the recipient's place in the envelope's Recipients.
	Index int
	State State
	// Reply is the last answer about this recipient, and Host who gave it. Reason
	// says in words what no reply says ("dial tcp ...: connection refused").
	Reply  mail.Reply
	Host   string
	Reason string
	// At is when State was entered.
	At time.Time
}

// Attempt is one delivery handed to a worker, with what it needs to be carried.
type Attempt struct {
	// Delivery is the state before the attempt; the Deliverer only reads it.
	Delivery *Delivery
	Envelope *mail.Envelope
	// Pending are the indices into Envelope.Recipients that still want an
	// answer, in order.
	Pending []int
	// Content is read with ReadAt only, by as many as like. The queue closes it.
	Content Content
	// Opening ends, before the context given to Deliver does, when no transaction
	// is to begin any more: those that run may finish, all else is to be given
	// up. Nil is that context.
	Opening context.Context
}

// Content is a message's content. Close frees what ReadAt needs.
type Content interface {
	ReadAt(p []byte, off int64) (int, error)
	Size() int64
	Close() error
}

// Deliverer carries a delivery to its next hop. It is called by several
// goroutines, never twice at once for one delivery, and must honour ctx.
type Deliverer interface {
	Deliver(ctx context.Context, a *Attempt) Outcome
}

// Outcome is what became of one attempt.
type Outcome struct {
	// Results has one entry for each of Attempt.Pending, in the same order.
	Results []Result
	// Fault tells whose fault a failure was, for the clock of the destination.
	Fault Fault
	// FaultReply and FaultReason say what was behind Fault.
	FaultReply  mail.Reply
	FaultReason string
	// Host, Address and TLS are of the last host that was spoken to.
	Event mail.Event
	// InDoubt names the host that took the whole content and never answered.
	InDoubt string
	// Wait, if it is positive, says that nothing was tried: the destination is to
	// get nothing for so long, because its pace is used up. All else is void.
	Wait time.Duration
}

// Result is what became of one recipient in an attempt.
type Result struct {
	Verdict Verdict
	Reply   mail.Reply
	// Host gave Reply, or is where it failed; Reason is set where no reply came.
	Host   string
	Reason string
	// Relayed says, with Success, that the next hop took over the duty to
	// report (it offers DSN), RFC 3461 5.2.
	Relayed bool
}

// Verdict is what to do about one recipient after an attempt.
type Verdict uint8

// Verdicts. Again is for recipients that were not tried for a reason that is
// nobody's fault (452 too many recipients): they go in a further transaction at
// once, without penalty. Reroute says that the route table has changed and the
// recipient belongs elsewhere now.
const (
	Defer Verdict = iota // unknown is temporary
	Success
	Bounce
	Again
	Reroute
)

// Fault tells whose fault the outcome of an attempt was.
type Fault uint8

// Faults. NoFault: the next hop works, whatever it said about the recipients.
// Throttled: it works and asks for less (421, 4yz to the connection, too many
// connections). Unreachable: no host of the destination could be used; one probe
// at a time until one can. SenderRefused: a smarthost takes no mail from this
// reverse-path, see senders. RouteFault: a smarthost route is broken by
// configuration (login refused, TLS not verifiable, quota): it is suspended,
// expiry waits, nothing bounces.
const (
	NoFault Fault = iota
	Throttled
	Unreachable
	SenderRefused
	RouteFault
)
