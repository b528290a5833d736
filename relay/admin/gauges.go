package admin

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Source gives what is measured when somebody asks. Its functions must be cheap
// and safe for concurrent use; any of them may be nil.
type Source struct {
	// Queue tells how much waits.
	Queue func() QueueGauges
	// Routes tells for each route of the table whether it is suspended.
	Routes func() map[string]RouteGauges
	// CertificateExpiry is the end of the listeners' certificate.
	CertificateExpiry func() time.Time
}

// RouteGauges is how a route of the table is doing.
type RouteGauges struct {
	Suspended bool
	// Refused is how many senders its smarthost takes no mail from.
	Refused int
}

// QueueGauges is how much waits in the queue.
type QueueGauges struct {
	// Deliveries counts by state ("active", "deferred", ...).
	Deliveries map[string]int64
	// Oldest is the arrival of the oldest message; zero if there is none.
	Oldest time.Time
	// Bytes is the content that waits, in octets.
	Bytes int64
}

// queueStates are shown even where nothing is in them, so that alerts have a
// series to look at.
var queueStates = []string{"active", "deferred", "held", "captured", "dead"}

// gauges collects a Source at each scrape.
type gauges struct {
	source                                                   Source
	messages, oldest, bytes, suspended, refused, certificate *prometheus.Desc
}

func newGauges(s Source) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("postrider_"+name, help, labels, nil)
	}
	return &gauges{
		source:      s,
		messages:    desc("queue_messages", "Deliveries in the queue: a message counts once for each destination.", "state"),
		oldest:      desc("queue_oldest_age_seconds", "Age of the oldest message in the queue."),
		bytes:       desc("queue_bytes", "Content in the queue."),
		suspended:   desc("route_suspended", "1 if the route is suspended because it is broken by configuration.", "route"),
		refused:     desc("senders_refused", "Senders that the route's smarthost takes no mail from; theirs waits.", "route"),
		certificate: desc("certificate_expiry_timestamp_seconds", "When the listeners' certificate ends."),
	}
}

// Describe is part of prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.messages, g.oldest, g.bytes, g.suspended, g.refused, g.certificate} {
		ch <- d
	}
}

// Collect is part of prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if g.source.Queue != nil {
		q := g.source.Queue()
		for _, state := range queueStates {
			put(g.messages, float64(q.Deliveries[state]), state)
		}
		age := 0.0
		if !q.Oldest.IsZero() {
			age = max(0, time.Since(q.Oldest).Seconds())
		}
		put(g.oldest, age)
		put(g.bytes, float64(q.Bytes))
	}
	if g.source.Routes != nil {
		for route, r := range g.source.Routes() {
			v := 0.0
			if r.Suspended {
				v = 1
			}
			put(g.suspended, v, route)
			put(g.refused, float64(r.Refused), route)
		}
	}
	if g.source.CertificateExpiry != nil {
		if t := g.source.CertificateExpiry(); !t.IsZero() {
			put(g.certificate, float64(t.Unix()))
		}
	}
}
