package delivery

import (
	"crypto/tls"
	"crypto/x509"
	"maps"
	"sync"

	"github.com/postrider/postrider/internal/config"
)

// securities makes the TLS configurations of routes, one for each policy and set
// of authorities, so that TLS sessions can be resumed.
type securities struct {
	mu   sync.Mutex // guards made
	made map[security]*tls.Config
}

// security is what a TLS configuration depends on.
type security struct {
	policy      config.RouteTLS
	authorities *x509.CertPool // nil for the system's
}

// resumable is how many TLS sessions are kept for resumption for each security.
const resumable = 256

// config returns the TLS configuration towards host.
func (s *securities) config(policy config.RouteTLS, authorities *x509.CertPool, host string) *tls.Config {
	want := security{policy, authorities}
	s.mu.Lock()
	defer s.mu.Unlock()
	base := s.made[want]
	if base == nil {
		base = newSecurity(want)
		if s.made == nil {
			s.made = make(map[security]*tls.Config)
		}
		s.made[want] = base
	}
	c := base.Clone()
	c.ServerName = host
	return c
}

// forget drops those with authorities of their own: a reload has read them anew.
func (s *securities) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.made, func(made security, _ *tls.Config) bool { return made.authorities != nil })
}

func newSecurity(want security) *tls.Config {
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            want.authorities,
		ClientSessionCache: tls.NewLRUClientSessionCache(resumable),
		// One record for what is written at once, instead of many small ones
		// and a system call for each.
		DynamicRecordSizingDisabled: true,
	}
	if !verifies(want.policy) {
		c.InsecureSkipVerify = true
	}
	if want.policy == config.RouteTLSOpportunistic {
		c.MinVersion = tls.VersionTLS10 // still better than what it falls back to
	}
	return c
}

// verifies reports whether policy wants the certificate checked. A policy this
// room does not know is the strictest there is.
func verifies(policy config.RouteTLS) bool {
	switch policy {
	case config.RouteTLSNone, config.RouteTLSOpportunistic, config.RouteTLSRequire:
		return false
	}
	return true
}
