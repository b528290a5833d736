package config

import (
	"maps"
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
	k.knownGroups(at+".match.group", p.Match.Group)
	k.knownListeners(at+".match.listener", p.Match.Listener)
	k.limits(at+".limits", p.Limits)
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

// limits tells of those that never act, because what holds for everybody is stricter.
func (k *checker) limits(at string, l PolicyLimits) {
	const size, recipients = "submission.max_message_size", "submission.max_recipients"
	if s := k.config.Submission.MaxMessageSize; l.Size > s && k.sound(size) {
		k.warn(at+".size", "%v is beyond %s (%v), which holds for everybody", l.Size, size, s)
	}
	if n := k.config.Submission.MaxRecipients; l.Recipients > n && k.sound(recipients) {
		k.warn(at+".recipients", "%d is beyond %s (%d), which holds for everybody", l.Recipients, recipients, n)
	}
}

// knownGroups checks that each name is that of a group. A misspelt one has no
// members, who would come under a later and perhaps wider rule. Where users may be
// the system's their groups are too, and nothing can be said.
func (k *checker) knownGroups(key string, names []string) {
	peer := slices.ContainsFunc(k.config.Listeners, func(l Listener) bool { return l.Auth == AuthPeer })
	if peer || !k.read("listeners", "auth") {
		return
	}
	groups := slices.Sorted(maps.Keys(k.config.Auth.Groups))
	for i, name := range names {
		if !slices.Contains(groups, name) {
			k.fault(index(key, i), "%q is no group of auth.groups%s", name, suggest(name, groups))
		}
	}
}

// knownListeners checks that each name is that of a listener, which is the address
// only where it has no other: a rule for one that does not exist would never match.
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
