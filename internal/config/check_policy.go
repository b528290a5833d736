package config

import (
	"slices"

	"github.com/postrider/postrider/internal/mail"
)

func (k *checker) policies() {
	names := make(map[string]int)
	for i := range k.config.Policies {
		p, at := &k.config.Policies[i], index("policies", i)
		if first, dup := names[p.Name]; dup {
			k.fault(at+".name", "%q is the name of policies[%d] too", p.Name, first)
		}
		names[p.Name] = i
		k.policy(at, p)
	}
}

func (k *checker) policy(at string, p *Policy) {
	k.knownListeners(at+".match.listener", p.Match.Listener)
	k.patterns(at+".senders", checkPolicyPattern, p.Senders)
	k.patterns(at+".recipients.allow", checkPolicyPattern, p.Recipients.Allow)
	k.patterns(at+".recipients.deny", checkPolicyPattern, p.Recipients.Deny)
	switch p.Environment {
	case EnvironmentAllowlist:
		if len(p.Recipients.Allow) == 0 && k.read(at+".recipients.allow") {
			k.fault(at+".environment", `"allowlist" needs recipients.allow, the recipients that are let through`)
		}
	case EnvironmentRedirect:
		if len(p.RedirectTo) == 0 && k.read(at+".redirect_to") {
			k.fault(at+".environment", `"redirect" needs redirect_to, the addresses that get the mail instead`)
		}
	}
	if len(p.RedirectTo) > 0 && p.Environment != EnvironmentRedirect && k.read(at+".environment") {
		k.fault(at+".redirect_to", "is only for environment: redirect")
	}
	switch p.Bounces {
	case "", "sender", "none":
	default:
		if a, err := mail.ParseAddress(p.Bounces); err != nil || a.Domain.IsZero() {
			k.fault(at+".bounces", "%q is not one of sender, none, or an address", p.Bounces)
		}
	}
}

func (k *checker) patterns(key string, check func(string) error, list []string) {
	for i, p := range list {
		if err := check(p); err != nil {
			k.fault(index(key, i), "%q is %v", p, err)
		}
	}
}

// knownListeners checks that each name is that of a listener, by name or by
// address: a rule for a listener that does not exist would never match.
func (k *checker) knownListeners(key string, names []string) {
	if len(k.config.Listeners) == 0 {
		return // there are none, or they could not be read
	}
	for i := range k.config.Listeners {
		if at := index("listeners", i); !k.read(at+".name", at+".address") {
			return
		}
	}
	for i, name := range names {
		known := slices.ContainsFunc(k.config.Listeners, func(l Listener) bool {
			return l.Name == name
		})
		if !known {
			all := make([]string, len(k.config.Listeners))
			for j, l := range k.config.Listeners {
				all[j] = l.Name
			}
			k.fault(index(key, i), "%q is the name of no listener%s", name, suggest(name, all))
		}
	}
}
