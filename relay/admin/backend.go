package admin

import (
	"context"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// Queue is what the control socket needs of the queue.
type Queue interface {
	List(ctx context.Context, sel queue.Selector, after queue.DeliveryKey, limit int) ([]queue.Entry, queue.DeliveryKey, error)
	Show(ctx context.Context, id mail.ID) (*mail.Envelope, []queue.Entry, error)
	Content(ctx context.Context, id mail.ID) (queue.Content, error)

	Retry(ctx context.Context, sel queue.Selector) (int, error)
	Hold(ctx context.Context, sel queue.Selector) (int, error)
	Release(ctx context.Context, sel queue.Selector) (int, error)
	Delete(ctx context.Context, sel queue.Selector) (int, error)
	Bounce(ctx context.Context, sel queue.Selector) (int, error)

	HoldRules() []queue.HoldRule
	AddHoldRule(r queue.HoldRule) error
	RemoveHoldRule(r queue.HoldRule) error

	Stats(ctx context.Context) (queue.Stats, error)
	Destinations() []queue.DestinationStatus
	Verify(ctx context.Context, report func(queue.Damage), progress func(done, total int64)) error
}

// Backend is what the control socket gives access to.
type Backend struct {
	Queue Queue
	// Explain answers "explain"; nil where the relay can't.
	Explain func(ctx context.Context, q Question) (*Explanation, error)
}

// Question is what "explain" is asked: what would happen to a message.
type Question struct {
	To   string `json:"to"`
	From string `json:"from,omitempty"` // "<>" for the null reverse-path
	As   string `json:"as,omitempty"`   // the identity
	// Listener is the name of the one it comes by; empty for any that no policy names.
	Listener string `json:"listener,omitempty"`
	// Probe asks to connect and to go as far as RCPT.
	Probe bool `json:"probe,omitempty"`
}

// Explanation tells what would happen to a message, and why.
type Explanation struct {
	// Verdict is "accepted", or the refusal a client would read.
	Verdict string `json:"verdict"`
	// Policy names the rule that decided; empty where none applies.
	Policy string `json:"policy,omitempty"`
	// Rewrites tell what would be changed on the way in.
	Rewrites    []string `json:"rewrites,omitempty"`
	Route       string   `json:"route"`
	Destination string   `json:"destination"`
	TLS         string   `json:"tls"`
	// Steps tell how the next hops were found.
	Steps []ExplanationStep `json:"steps"`
	// Hops are what would be tried, in this order.
	Hops []ExplanationHop `json:"hops,omitempty"`
	// Fault says why there are no hops; Returned, that mail would go back to its
	// sender for it and not wait.
	Fault    string `json:"fault,omitempty"`
	Returned bool   `json:"returned,omitempty"`
	// Retry says when an attempt that is deferred is repeated, and how long.
	Retry string `json:"retry"`
	// Probe tells how far a real session came, if that was asked for.
	Probe *ExplanationProbe `json:"probe,omitempty"`
}

// ExplanationStep is one decision or look-up.
type ExplanationStep struct {
	What   string  `json:"what"`
	Result string  `json:"result"`
	TTL    float64 `json:"ttl,omitempty"`     // seconds the answer still counts
	TookMS float64 `json:"took_ms,omitempty"` // milliseconds
}

// ExplanationHop is one host that would be tried.
type ExplanationHop struct {
	Host      string   `json:"host"`
	Port      uint16   `json:"port"`
	Addresses []string `json:"addresses"`
}

// ExplanationProbe is what a session that ended at RCPT showed.
type ExplanationProbe struct {
	// Result is "accepted", "deferred", "bounced", or "waiting" for somebody to
	// mend the route: what would become of mail.
	Result string `json:"result"`
	// Host was spoken to last, at Address, and TLS is the version; empty in clear.
	Host    string `json:"host,omitempty"`
	Address string `json:"address,omitempty"`
	TLS     string `json:"tls,omitempty"`
	// Reply is what decided; Reason says in words what no reply says.
	Reply  string `json:"reply,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Note says what else is odd: that TLS failed and the session was in clear.
	Note string `json:"note,omitempty"`
	// Phases are how long the parts took.
	Phases []ExplanationPhase `json:"phases,omitempty"`
}

// ExplanationPhase is a part of a session.
type ExplanationPhase struct {
	Name   string  `json:"name"`
	TookMS float64 `json:"took_ms"`
}

// Message is what "queue show" tells.
type Message struct {
	ID         mail.ID       `json:"id"`
	MessageID  string        `json:"message_id,omitempty"`
	From       string        `json:"from"`
	To         []string      `json:"to"` // all recipients of the envelope
	Identity   string        `json:"identity"`
	Mechanism  string        `json:"mechanism,omitempty"`
	Listener   string        `json:"listener,omitempty"`
	Remote     string        `json:"remote,omitempty"`
	Helo       string        `json:"helo,omitempty"`
	TLS        string        `json:"tls,omitempty"`
	Size       int64         `json:"size"`
	Arrival    time.Time     `json:"arrival"`
	Deliveries []queue.Entry `json:"deliveries"` // that are still to be done
}

// Stats is the queue at a glance, with how its destinations are doing.
type Stats struct {
	queue.Stats
	Destinations []queue.DestinationStatus `json:"destinations"`
}

// messageOf returns what people see of an envelope.
func messageOf(e *mail.Envelope, deliveries []queue.Entry) *Message {
	m := &Message{
		ID: e.ID, MessageID: e.MessageID, From: plainPath(e.From.String()), Identity: e.Identity.Name,
		Mechanism: e.Identity.Mechanism, Listener: e.Identity.Listener, Helo: e.Identity.Helo,
		TLS: e.Identity.TLS, Size: e.Size, Arrival: e.Arrival, Deliveries: deliveries,
	}
	if e.Identity.Remote.IsValid() {
		m.Remote = e.Identity.Remote.String()
	}
	for _, r := range e.Recipients {
		m.To = append(m.To, r.Address.String())
	}
	plain(deliveries)
	return m
}

// plain takes the brackets off the senders, as the log has them; the null path
// keeps its own.
func plain(entries []queue.Entry) {
	for i := range entries {
		entries[i].From = plainPath(entries[i].From)
	}
}

func plainPath(path string) string {
	if len(path) <= len("<>") {
		return path
	}
	return strings.TrimSuffix(strings.TrimPrefix(path, "<"), ">")
}
