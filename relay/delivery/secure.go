package delivery

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"

	"github.com/postrider/postrider/internal/config"
)

// securities makes the TLS configurations of routes, one for each policy and set
// of authorities, so that sessions can be resumed.
type securities struct {
	files *files
	mu    sync.Mutex // guards made
	made  map[security]*tls.Config
}

// security is what a TLS configuration depends on.
type security struct {
	policy config.RouteTLS
	// authorities is the ca_file in its present version; nil for the system's.
	authorities *file
}

// maxSecurities bounds how many versions of CA files are kept.
const maxSecurities = 64

// resumable is how many TLS sessions are kept for resumption for each security.
const resumable = 256

// config returns the TLS configuration towards host. An error is a ca_file that
// can't be used.
func (s *securities) config(policy config.RouteTLS, caFile, host string) (*tls.Config, error) {
	want := security{policy: policy}
	if caFile != "" && verifies(policy) {
		var err error
		if want.authorities, err = s.files.read(caFile); err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	base := s.made[want]
	if base == nil {
		var err error
		if base, err = newSecurity(want); err != nil {
			return nil, fmt.Errorf("ca_file: %s: %w", caFile, err)
		}
		if s.made == nil || len(s.made) >= maxSecurities {
			s.made = make(map[security]*tls.Config)
		}
		s.made[want] = base
	}
	c := base.Clone()
	c.ServerName = serverName(host)
	return c, nil
}

func newSecurity(want security) (*tls.Config, error) {
	c := &tls.Config{
		MinVersion:         tls.VersionTLS12,
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
	if want.authorities != nil {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(want.authorities.content) {
			return nil, errors.New("holds no certificate in PEM form")
		}
	}
	return c, nil
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

// serverName is the name a certificate is checked for: host, without the brackets
// of an address literal.
func serverName(host string) string {
	if len(host) > 2 && host[0] == '[' {
		host = host[1 : len(host)-1]
		const v6 = "IPv6:"
		if len(host) > len(v6) && host[:len(v6)] == v6 {
			host = host[len(v6):]
		}
	}
	return host
}
