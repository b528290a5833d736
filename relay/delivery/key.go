package delivery

import (
	"cmp"
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
	// authorities is the ca_file in its present version; nil for the system's, and
	// where certificates are not looked at.
	authorities *file
	account     account
}

// key returns the key of sessions with hop on route under r. An error is a password
// file that can't be read.
func (c *Courier) key(r *rules, route *routing.Route, hop *routing.NextHop, requireTLS bool) (sessionKey, error) {
	key := sessionKey{
		hostname: r.hostname, route: route.Name, host: hop.Host, port: hop.Port, implicit: hop.Implicit,
		policy: TLSPolicy(route, r.delivery), requireTLS: requireTLS,
	}
	if requireTLS && !verifies(key.policy) {
		key.policy = config.RouteTLSVerify // RFC 8689 section 4.2.1
	}
	if route.CAFile != "" && verifies(key.policy) {
		key.authorities, _ = c.files.read(route.CAFile) // the handshake tells what is wrong with it
	}
	if !route.Smarthost {
		return key, nil
	}
	key.account.user = cmp.Or(hop.Username, route.Username)
	if key.account.user == "" {
		return key, nil
	}
	key.account.insecure = route.InsecureAuth
	key.account.mechanisms = strings.Join(route.Mechanisms, " ")
	key.account.password = string(route.Password)
	if route.PasswordFile != "" {
		var err error
		if key.account.password, err = c.files.secret(route.PasswordFile); err != nil {
			return key, &trouble{at: atAuth, cause: err}
		}
	}
	return key, nil
}
