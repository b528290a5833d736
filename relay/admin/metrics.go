package admin

import (
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/postrider/postrider/internal/mail"
)

// Build tells what binary runs.
type Build struct {
	Version, Commit string
}

// Metrics is the view of events that /metrics shows, with what no event tells:
// durations of commits and look-ups, and the gauges of a Source.
type Metrics struct {
	registry *prometheus.Registry

	sessions   prometheus.Counter
	refused    prometheus.Counter
	auth       *prometheus.CounterVec
	accepted   prometheus.Counter
	rejected   *prometheus.CounterVec
	attempts   *prometheus.CounterVec
	latency    prometheus.Histogram
	phases     *prometheus.HistogramVec
	bounces    prometheus.Counter
	expired    prometheus.Counter
	inDoubt    prometheus.Counter
	dead       prometheus.Counter
	commits    prometheus.Histogram
	dns        prometheus.Histogram
	handshakes *prometheus.CounterVec
	reloaded   prometheus.Gauge
}

// Bounds of the histograms, in seconds.
var (
	shortTimes = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10} // disk, DNS
	phaseTimes = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300}
	longTimes  = []float64{.01, .05, .1, .5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600, 5 * 24 * 3600}
)

// phaseNames are the phases an attempt may tell of; another one counts as
// "other", so that the label stays bounded.
var phaseNames = map[string]bool{"dns": true, "connect": true, "tls": true, "auth": true, "mail": true, "data": true}

// NewMetrics makes the metrics of one relay. source gives the gauges.
func NewMetrics(build Build, source Source) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "postrider_" + name, Help: help})
		m.registry.MustRegister(c)
		return c
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "postrider_" + name, Help: help}, labels)
		m.registry.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "postrider_" + name, Help: help, Buckets: buckets})
		m.registry.MustRegister(h)
		return h
	}
	m.sessions = counter("smtp_sessions_total", "Connections taken by the submission listeners.")
	m.refused = counter("smtp_sessions_refused_total", "Sessions ended with 421 that no message is to blame for: too many, too slow, without progress, or the relay is about to stop.")
	m.auth = counters("auth_attempts_total", "AUTH commands, by how they ended.", "mechanism", "result")
	m.accepted = counter("messages_accepted_total", "Messages made durable and acknowledged.")
	m.rejected = counters("messages_rejected_total", "Refusals of senders, recipients, messages and clients, by the class of the reply.", "class")
	m.attempts = counters("delivery_attempts_total", "Delivery attempts, by what went best in them.", "route", "result")
	m.latency = histogram("delivery_latency_seconds", "Time from acceptance to delivery.", longTimes)
	m.phases = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "postrider_delivery_phase_seconds", Help: "Time spent in each phase of delivery attempts.", Buckets: phaseTimes,
	}, []string{"phase"})
	m.registry.MustRegister(m.phases)
	m.bounces = counter("bounces_total", "Recipients that failed for good by a reply.")
	m.expired = counter("expired_total", "Recipients given up after retry.lifetime.")
	m.dead = counter("dead_letters_total", "Deliveries that went to the dead-letter state.")
	m.inDoubt = counter("deliveries_in_doubt_total", "Attempts whose content was taken but never answered.")
	m.commits = histogram("queue_commit_seconds", "Time to make one message durable, of those that were; a failure counts as 4xx in messages_rejected_total.", shortTimes)
	m.dns = histogram("dns_seconds", "Time of DNS questions that no cache answered.", shortTimes)
	m.handshakes = counters("tls_handshakes_total", "TLS handshakes, as server and as client.", "side", "result")
	m.reloaded = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "postrider_config_last_reload_successful", Help: "1 if the configuration as it now is was taken, 0 if it was refused.",
	})
	m.reloaded.Set(1)
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "postrider_build_info", Help: "What binary runs; always 1.",
		ConstLabels: prometheus.Labels{"version": build.Version, "commit": build.Commit, "go_version": runtime.Version()},
	}, func() float64 { return 1 })
	m.registry.MustRegister(m.reloaded, info, newGauges(source),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Record counts one event. It does not block.
func (m *Metrics) Record(e mail.Event) {
	switch e.Kind {
	case mail.EventConnect:
		m.sessions.Inc()
	case mail.EventAuth:
		m.auth.WithLabelValues(mechanismLabel(e.Mechanism), authResult(e.Reply)).Inc()
	case mail.EventAccepted:
		m.accepted.Inc()
	case mail.EventRejected:
		if e.From == nil && e.Reply.Code == 421 {
			m.refused.Inc() // a client, and no message of it
		} else {
			m.rejected.WithLabelValues(replyClass(e.Reply)).Inc()
		}
	case mail.EventDelivered:
		m.latency.Observe(e.Delay.Seconds())
	case mail.EventBounced:
		m.bounces.Add(float64(max(len(e.To), 1)))
	case mail.EventExpired:
		m.expired.Add(float64(max(len(e.To), 1)))
	case mail.EventDead:
		m.dead.Inc()
	}
	if e.Result {
		m.attempt(&e)
	}
}

// attempt counts an attempt by the event that stands for it.
func (m *Metrics) attempt(e *mail.Event) {
	m.attempts.WithLabelValues(e.Route, string(e.Kind)).Inc()
	for _, p := range e.Phases {
		name := p.Name
		if !phaseNames[name] {
			name = "other"
		}
		m.phases.WithLabelValues(name).Observe(p.Took.Seconds())
	}
}

// Committed notes how long one message took to be durable. Commits that failed
// are not among them: one that is refused at once would make a dying disk look fast.
func (m *Metrics) Committed(took time.Duration) { m.commits.Observe(took.Seconds()) }

// Asked notes how long a DNS question took.
func (m *Metrics) Asked(took time.Duration) { m.dns.Observe(took.Seconds()) }

// InDoubt notes an attempt whose content was taken but never answered.
func (m *Metrics) InDoubt() { m.inDoubt.Inc() }

// Handshake notes the end of a TLS handshake; side is "server" or "client".
func (m *Metrics) Handshake(side string, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.handshakes.WithLabelValues(side, result).Inc()
}

// Reloaded notes whether the last change of the configuration was taken.
func (m *Metrics) Reloaded(err error) {
	if err != nil {
		m.reloaded.Set(0)
	} else {
		m.reloaded.Set(1)
	}
}

// mechanismLabel bounds a label that clients could otherwise choose.
func mechanismLabel(m string) string {
	switch m {
	case "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "EXTERNAL", "peer", "none":
		return m
	}
	return "other"
}

// authResult tells a wrong password from a back end that could not answer.
func authResult(r mail.Reply) string {
	switch {
	case r.Code == 0 || r.Positive():
		return "ok"
	case r.Permanent():
		return "refused"
	}
	return "unavailable"
}

func replyClass(r mail.Reply) string {
	if r.Code < 400 {
		return "other"
	}
	return strconv.Itoa(r.Code/100) + "xx"
}
