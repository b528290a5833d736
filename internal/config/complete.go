package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// complete fills in the defaults that depend on other keys, and reads secrets
// from their files.
func (k *checker) complete() {
	c := k.config
	if c.Hostname == "" {
		c.Hostname = k.loader.Hostname
	}
	if c.Hostname == "" {
		c.Hostname = systemHostname()
	}
	for i := range c.Listeners {
		c.Listeners[i].complete()
	}
	if c.Auth.UsersFile == "" && len(c.Auth.Certificates) == 0 && c.wantsPasswords() {
		c.Auth.UsersFile = filepath.Join(c.StateDir, "users")
	}
	for i := range c.Policies {
		p := &c.Policies[i]
		if p.Name == "" {
			p.Name = index("policies", i)
		}
		if p.Environment == "" {
			p.Environment = EnvironmentDeliver
		}
	}
	for i := range c.Routes {
		k.completeRoute(index("routes", i), &c.Routes[i])
	}
	if !k.set("queue.memory") {
		c.Queue.Memory = c.Memory * 3 / 8
	}
	if !k.set("retry.warn_after") && c.Retry.WarnAfter >= c.Retry.Lifetime {
		c.Retry.WarnAfter = 0 // the default makes no sense beside so short a lifetime
	}
}

// wantsPasswords reports whether a listener can't do without users. Where none
// can, a users file that nobody named need not be there.
func (c *Config) wantsPasswords() bool {
	return slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.Auth == AuthRequired })
}

func (l *Listener) complete() {
	if l.Name == "" {
		l.Name = l.Address
	}
	if l.TLS == "" {
		l.TLS = TLSStartTLS
		if l.Unix() {
			l.TLS = TLSNone
		}
	}
	if l.Auth == "" {
		l.Auth = AuthRequired
	}
	if l.Auth == AuthNone && l.Identity == "" {
		l.Identity = "local"
	}
	if l.BareNewlines == "" {
		l.BareNewlines = BareRefuse
	}
}

func (k *checker) completeRoute(path string, r *Route) {
	if r.Name == "" {
		r.Name = path
	}
	if r.PasswordFile != "" {
		if r.Password != "" {
			k.fault(path+".password_file", "stands beside password; only one of them can hold")
		}
		r.Password = k.readSecret(path+".password_file", r.PasswordFile)
	}
	for i := range r.Smarthosts {
		s := &r.Smarthosts[i]
		at := index(path+".smarthosts", i)
		if err := s.parseURL(); err != nil {
			k.fault(at, "%v", err)
		}
		if s.Username == "" {
			s.Username = r.Username
		}
		if s.Weight == 0 && !k.set(at+".weight") {
			s.Weight = 1
		}
		if !k.set(at + ".priority") {
			s.Priority = i
		}
	}
	if r.TLS == "" {
		switch {
		case r.Password != "":
			r.TLS = RouteTLSVerify
		case len(r.Smarthosts) == 0:
			r.TLS = k.config.Delivery.TLS
		default:
			r.TLS = RouteTLSOpportunistic
		}
	}
	if r.DestinationConcurrency == 0 {
		r.DestinationConcurrency = k.config.Delivery.DestinationConcurrency
	}
	// All mail of a smarthost route has one destination: its rate is given already.
	if r.DestinationMessages.IsZero() && (len(r.Smarthosts) == 0 || r.Messages.IsZero()) {
		r.DestinationMessages = k.config.Delivery.DestinationMessages
	}
}

// maxSecret bounds a secret's file, in octets; OAuth tokens are the longest.
const maxSecret = 16 << 10

// readSecret reads a secret from a file, without the line end that editors and
// `echo` put there.
func (k *checker) readSecret(key, file string) Secret {
	text, err := os.ReadFile(file)
	switch {
	case err != nil:
		k.fault(key, "can't read %s: %s", file, reason(err))
	case len(text) > maxSecret:
		k.fault(key, "%s is longer than a secret can be (%d octets)", file, maxSecret)
	default:
		secret := strings.TrimRight(string(text), "\r\n")
		if secret == "" {
			k.fault(key, "%s is empty", file)
		}
		return Secret(secret)
	}
	return ""
}
