package relay

import (
	"context"
	"time"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/relay/admin"
)

// oldestTimeout bounds how long a scrape waits for the oldest message.
const oldestTimeout = time.Second

// meter counts what delivery tells besides its events.
type meter struct {
	metrics *admin.Metrics
}

func (m meter) Handshake(err error) { m.metrics.Handshake("client", err) }
func (m meter) InDoubt()            { m.metrics.InDoubt() }

// source gives the metrics what is only known when they are asked for.
func (r *Relay) source() admin.Source {
	return admin.Source{
		Queue:             r.queueGauges,
		Routes:            r.routeGauges,
		CertificateExpiry: func() time.Time { return r.rules.Load().certificate.expires },
	}
}

func (r *Relay) queueGauges() admin.QueueGauges {
	totals := r.queue.Totals()
	g := admin.QueueGauges{Deliveries: make(map[string]int64), Bytes: totals.Bytes}
	for _, states := range totals.By {
		for state, t := range states {
			g.Deliveries[state.String()] += t.Deliveries
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), oldestTimeout)
	defer cancel()
	g.Oldest, _ = r.queue.Oldest(ctx) // unknown is shown as none; /readyz tells of a failing disk
	return g
}

func (r *Relay) routeGauges() map[string]admin.RouteGauges {
	routes := make(map[string]admin.RouteGauges)
	for _, route := range r.rules.Load().table.Routes() {
		routes[route.Name] = admin.RouteGauges{}
	}
	for _, d := range r.queue.Destinations() {
		if g, ok := routes[d.Route]; ok {
			g.Suspended = g.Suspended || d.Status == queue.Suspended
			g.Refused += len(d.Refused)
			routes[d.Route] = g
		}
	}
	return routes
}
