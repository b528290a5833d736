package mail

import (
	"net/netip"
	"time"
)

// EventKind says what happened. The values are the words users see in the log.
type EventKind string

// What can happen to a session or a message.
const (
	EventConnect   EventKind = "connect"
	EventAuth      EventKind = "auth"
	EventAccepted  EventKind = "accepted"
	EventRejected  EventKind = "rejected"
	EventDelivered EventKind = "delivered"
	EventDeferred  EventKind = "deferred"
	EventBounced   EventKind = "bounced"
	EventExpired   EventKind = "expired"
	EventDelayed   EventKind = "delayed"
	EventHeld      EventKind = "held"
	EventReleased  EventKind = "released"
	EventDeleted   EventKind = "deleted"
	EventDead      EventKind = "dead"
)

// Event is the one record of what happened. Log, metrics and traces are views
// of it; nothing else reports the fate of a message. It never holds a password,
// a token or content.
type Event struct {
	Kind      EventKind
	Time      time.Time
	ID        ID
	MessageID string
	Identity  string
	Mechanism string // auth events
	Listener  string
	From      *Path     // nil where there is no transaction
	To        []Address // the recipients this event is about
	Route     string
	// Domain is the next hop's destination, for people; empty for a smarthost.
	Domain  Domain
	Host    string // the peer's name: an MX host, or what the client said in EHLO
	Address netip.AddrPort
	TLS     string // "TLSv1.3" and the like; empty in clear
	Reply   Reply
	Attempt int // counts from 1
	Size    int64
	// Delay is how long the message has been here.
	Delay time.Duration
	// Phases are the parts of one attempt in the order they happened.
	Phases []Phase
	// Result says that this event stands for its attempt: one does for each that
	// came to anything, though recipients may have met several fates in it.
	Result bool
	// Next is when the next attempt is due; zero if there is none.
	Next time.Time
	// Err is detail for the operator that no client sees.
	Err error
}

// Phase is a part of an attempt and how long it took. Names are the last word
// of a log key: dns, connect, tls, auth, mail, data.
type Phase struct {
	Name string
	Took time.Duration
}

// Recorder takes events. Record must not block and must be safe for concurrent
// use; the event is the callee's to keep.
type Recorder interface {
	Record(Event)
}
