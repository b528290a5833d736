package config

import (
	"slices"
	"strings"
	"unicode"

	"github.com/postrider/postrider/internal/mail"
)

// BuiltInRoute is the name of the last route, which every table has: MX delivery
// of what no other route takes.
const BuiltInRoute = "mx"

// Mechanisms are the SASL mechanisms we can use towards a smarthost, strongest first:
// one that never shows the password goes before one that does.
var Mechanisms = []string{"SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN"}

func (k *checker) routes() {
	names := make(map[string]int)
	for i := range k.config.Routes {
		r, at := &k.config.Routes[i], index("routes", i)
		switch first, dup := names[r.Name]; {
		case dup:
			k.fault(at+".name", "%q is the name of routes[%d] too", r.Name, first)
		case r.Name == BuiltInRoute:
			k.fault(at+".name", "%q is the name of the built-in last route; expected another one", r.Name)
		case strings.ContainsFunc(r.Name, func(c rune) bool { return c == '/' || unicode.IsSpace(c) || !unicode.IsPrint(c) }):
			k.fault(at+".name", "%q is not a single word without a slash", r.Name)
		}
		names[r.Name] = i
		k.route(at, r)
	}
}

func (k *checker) route(at string, r *Route) {
	k.routeMatch(at+".match", &r.Match)
	k.noDANE(at+".tls", r.TLS)
	k.bundle(at+".ca_file", r.CAFile)
	for i, m := range r.Mechanisms {
		if !slices.Contains(Mechanisms, m) {
			k.fault(index(at+".mechanisms", i), "%q is not one of %s", m, strings.Join(Mechanisms, ", "))
		}
	}
	for i, s := range r.Smarthosts {
		if s.Implicit && r.TLS == RouteTLSNone {
			k.fault(at+".tls", `"none" contradicts smarthosts[%d], which speaks TLS from the start`, i)
		}
	}
	k.credentials(at, r)
}

// credentials checks that a route's login is whole and that its password does not
// travel where anyone can read it.
func (k *checker) credentials(at string, r *Route) {
	key := at + ".password"
	if r.PasswordFile != "" {
		key = at + ".password_file"
	}
	if !k.sound(at+".password", at+".password_file", at+".username") {
		return
	}
	switch {
	case r.Password == "":
		k.smarthosts(at, r, func(s Smarthost) bool { return s.Username == "" }, "has a user name without password or password_file")
	case len(r.Smarthosts) == 0 && !k.read(at+".smarthosts"):
	case len(r.Smarthosts) == 0:
		k.fault(key, "needs smarthosts to log in to; MX hosts take no password")
	case (r.TLS == RouteTLSNone || r.TLS == RouteTLSOpportunistic) && !r.InsecureAuth:
		k.fault(at+".tls", "%q would send the password in clear; expected verify or require (or allow_insecure_auth: true)", r.TLS)
	default:
		k.smarthosts(at, r, func(s Smarthost) bool { return s.Username != "" }, "has a password without a user name; expected username, or user@ in the URL")
	}
}

// smarthosts checks what must hold for each smarthost that could be read.
func (k *checker) smarthosts(at string, r *Route, holds func(Smarthost) bool, problem string) {
	for i, s := range r.Smarthosts {
		if key := index(at+".smarthosts", i); k.sound(key) && !holds(s) {
			k.fault(key, "%s", problem)
		}
	}
}

func (k *checker) routeMatch(at string, m *RouteMatch) {
	for i, d := range m.RecipientDomain {
		if _, err := mail.ParseDomainPattern(d); err != nil {
			k.fault(index(at+".recipient_domain", i), "%q is not a domain such as example.com, or .example.com for its subdomains", d)
		}
	}
	k.patterns(at+".sender", checkPattern, m.Sender)
	k.knownListeners(at+".listener", m.Listener)
}

func (k *checker) noDANE(key string, t RouteTLS) {
	if t == RouteTLSDANE {
		k.fault(key, `"dane" is not available in this version; expected one of none, opportunistic, require, verify`)
	}
}
