package delivery

import (
	"cmp"
	"crypto/x509"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/routing"
)

// sessionKey is what must be the same for a session to serve another message: all
// that it was made by.
type sessionKey struct {
	hostname   string // that we called ourselves
	route      string
	host       string
	port       uint16
	implicit   bool // TLS from the first octet
	policy     config.RouteTLS
	requireTLS bool // the message has raised the policy
	// authorities are the route's, as one reload has read them.
	authorities *x509.CertPool
	account     account
}

// newKey returns the key of sessions with hop on route under r.
func newKey(r *rules, route *routing.Route, hop *routing.NextHop, requireTLS bool) sessionKey {
	key := sessionKey{
		hostname: r.hostname, route: route.Name, host: hop.Host, port: hop.Port, implicit: hop.Implicit,
		policy: route.TLS, requireTLS: requireTLS, authorities: route.Authorities,
	}
	if requireTLS && !verifies(key.policy) {
		key.policy = config.RouteTLSVerify // RFC 8689 section 4.2.1
	}
	if !route.Smarthost {
		return key
	}
	key.account.user = cmp.Or(hop.Username, route.Username)
	if key.account.user == "" {
		return key
	}
	key.account.insecure = route.InsecureAuth
	key.account.mechanisms = strings.Join(route.Mechanisms, " ")
	key.account.password = string(route.Password)
	return key
}
