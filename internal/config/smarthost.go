package config

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/mail"
)

// Smarthost is one next hop of a route, written as a URL
// ("smtp://host:port", "submissions://user@host") or as a mapping with url,
// priority and weight.
type Smarthost struct {
	URL      string `yaml:"url"`
	Priority int    `yaml:"priority"` // lower first; default: the order in the list
	Weight   int    `yaml:"weight"`   // among equals; default 1
	// Parsed from URL.
	Host     string `yaml:"-"`
	Port     uint16 `yaml:"-"`
	Implicit bool   `yaml:"-"` // TLS from the first octet (submissions)
	Username string `yaml:"-"` // the route's, where the URL has none
}

const wantSmarthost = "expected a URL such as smtp://host:25, submission://user@host or submissions://user@host"

// schemes of smarthost URLs with their ports (RFC 8314 section 7.3 for
// submissions).
var schemes = map[string]struct {
	port     uint16
	implicit bool
}{
	"smtp":        {25, false},
	"submission":  {587, false},
	"submissions": {465, true},
	"smtps":       {465, true},
}

// parseURL fills what is derived from URL. Its errors don't repeat the URL, which
// may hold a password by mistake.
func (s *Smarthost) parseURL() error {
	u, err := url.Parse(s.URL)
	if err != nil || u.Opaque != "" {
		return errors.New("not a URL; " + wantSmarthost)
	}
	scheme, ok := schemes[u.Scheme]
	switch {
	case !ok:
		return errors.New("the URL has no known scheme; " + wantSmarthost)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("the URL has a path or a query; " + wantSmarthost)
	}
	if _, set := u.User.Password(); set {
		return errors.New("the URL holds a password; put it into password_file")
	}
	host, port := u.Hostname(), scheme.port
	if text := u.Port(); text != "" {
		if port, err = parsePort(text); err != nil {
			return errors.New("the URL's port is " + err.Error())
		}
	}
	if net.ParseIP(host) == nil {
		domain, err := mail.ParseDomain(strings.TrimSuffix(host, "."))
		if err != nil {
			return errors.New("the URL's host is no host name; " + wantSmarthost)
		}
		host = domain.String()
	}
	s.Host, s.Port, s.Implicit, s.Username = host, port, scheme.implicit, u.User.Username()
	return nil
}

// String returns host and port, as they are dialled.
func (s Smarthost) String() string {
	return net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port)))
}
