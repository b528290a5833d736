package queue

import (
	"strings"

	"github.com/postrider/postrider/internal/mail"
)

// Destination is a next hop as the schedule sees it: mail for one destination
// shares its concurrency, its back-off and its connections. For an MX route it is
// the recipient's domain, for a smarthost route the route alone.
type Destination struct {
	Route  string      // name of the route
	Domain mail.Domain // zero for a smarthost route
}

// String returns the form kept in the schedule and shown to operators:
// "mx/example.com" or "provider".
func (d Destination) String() string {
	if d.Domain.IsZero() {
		return d.Route
	}
	return d.Route + "/" + d.Domain.String()
}

// ParseDestination is the inverse of String. Route names hold no slash.
func ParseDestination(s string) (Destination, error) {
	route, name, found := strings.Cut(s, "/")
	if !found {
		return Destination{Route: route}, nil
	}
	domain, err := mail.ParseDomain(name)
	return Destination{Route: route, Domain: domain}, err
}

// Router names the destination of a recipient by the route table in force. It
// is asked when a message is accepted and again when the table has changed; it
// does no input or output.
type Router interface {
	Destination(e *mail.Envelope, rcpt mail.Address) Destination
	// Concurrency returns how many attempts may run at once at d; 0 leaves it to
	// the queue.
	Concurrency(d Destination) int
}
