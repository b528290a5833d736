package submission

import "github.com/postrider/postrider/internal/config"

// settings are what sessions go by besides the rules of policy. They do not
// change; a reload makes others.
type settings struct {
	hostname    string
	trace       traceHost
	limits      config.Submission
	maxFailures int
}

func newSettings(hostname string, limits config.Submission, maxFailures int) *settings {
	return &settings{
		hostname:    hostname,
		trace:       newTraceHost(hostname),
		limits:      limits,
		maxFailures: maxFailures,
	}
}

// refresh takes the settings in force. They stay the same for a transaction.
func (s *session) refresh() {
	s.set = s.srv.settings.Load()
	s.out.timeout = s.set.limits.CommandTimeout
}
