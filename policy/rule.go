package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// rule is one entry of policies, ready to be asked.
type rule struct {
	name        string // empty for what applies where no entry does
	users       []mail.Glob
	groups      []string
	listeners   []string
	networks    []netip.Prefix
	senders     []mail.Pattern // nil: any
	allow, deny []mail.Pattern // allow nil: any
	size        int64          // octets; 0: any
	recipients  int
	connections int
	messages    quota
	bytes       quota
	verdict     Verdict
}

func newRule(p config.Policy) (*rule, error) {
	r := &rule{
		name:        p.Name,
		groups:      p.Match.Group,
		listeners:   p.Match.Listener,
		size:        int64(p.Limits.Size),
		recipients:  p.Limits.Recipients,
		connections: p.Limits.Connections,
		messages:    messageQuota(p.Limits.Messages),
		bytes:       octetQuota(p.Limits.Bytes),
		verdict: Verdict{
			Policy:      p.Name,
			Environment: p.Environment,
			RedirectTo:  p.RedirectTo,
			Rewrite:     p.Rewrite,
			Bounces:     p.Bounces,
		},
	}
	for _, u := range p.Match.User {
		r.users = append(r.users, mail.NewGlob(u))
	}
	for _, n := range p.Match.Network {
		// Clients' addresses are compared unmapped.
		if a := n.Addr(); a.Is4In6() && n.Bits() >= 96 {
			n = netip.PrefixFrom(a.Unmap(), n.Bits()-96)
		}
		r.networks = append(r.networks, n.Masked())
	}
	var err error
	if r.senders, err = parsePatterns(p.Senders); err != nil {
		return nil, fmt.Errorf("senders: %w", err)
	}
	if r.allow, err = parsePatterns(p.Recipients.Allow); err != nil {
		return nil, fmt.Errorf("recipients.allow: %w", err)
	}
	if r.deny, err = parsePatterns(p.Recipients.Deny); err != nil {
		return nil, fmt.Errorf("recipients.deny: %w", err)
	}
	return r, r.setEnvironment(p)
}

// setEnvironment fills in the defaults of environment and bounces and checks
// what goes with them.
func (r *rule) setEnvironment(p config.Policy) error {
	switch p.Environment {
	case "":
		r.verdict.Environment = config.EnvironmentDeliver
	case config.EnvironmentDeliver, config.EnvironmentCapture:
	case config.EnvironmentAllowlist:
		if len(p.Recipients.Allow) == 0 {
			return fmt.Errorf("environment: allowlist needs recipients.allow")
		}
	case config.EnvironmentRedirect:
		if len(p.RedirectTo) == 0 {
			return fmt.Errorf("environment: redirect needs redirect_to")
		}
	default:
		return fmt.Errorf("environment: %q; expected deliver, allowlist, redirect or capture", p.Environment)
	}
	switch p.Bounces {
	case "", "sender":
		r.verdict.Bounces = ""
	case "none":
	default:
		if _, err := mail.ParseAddress(p.Bounces); err != nil {
			return fmt.Errorf("bounces: %q; expected sender, none or an address", p.Bounces)
		}
	}
	return nil
}

// matches reports whether the rule is about id. All conditions that are given
// must hold; one of several values is enough. Names are compared octet for octet,
// but for the stars in those of users.
func (r *rule) matches(id *mail.Identity) bool {
	return (len(r.users) == 0 || r.isUser(id.Name)) &&
		(len(r.listeners) == 0 || slices.Contains(r.listeners, id.Listener)) &&
		(len(r.groups) == 0 || slices.ContainsFunc(r.groups, func(g string) bool { return slices.Contains(id.Groups, g) })) &&
		(len(r.networks) == 0 || r.inNetwork(id.Remote.Addr().Unmap()))
}

func (r *rule) isUser(name string) bool {
	for _, u := range r.users {
		if u.Match(name) {
			return true
		}
	}
	return false
}

// inNetwork is false for a client on a unix socket.
func (r *rule) inNetwork(a netip.Addr) bool {
	a = a.WithZone("") // a prefix has none, and contains no address that has
	for _, n := range r.networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// title names the rule in a reply.
func (r *rule) title() string {
	if r.name == "" {
		return "no policy applies to you"
	}
	return fmt.Sprintf("policy %q", r.name)
}

// listed writes patterns for a reply, as many as fit a line (RFC 5321 4.5.3.1.5).
func listed(patterns []mail.Pattern) string {
	const most = 200 // octets
	var b strings.Builder
	for i, p := range patterns {
		text := p.String()
		if i > 0 && b.Len()+len(text) > most {
			fmt.Fprintf(&b, " and %d more", len(patterns)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(text)
	}
	if b.Len() == 0 {
		return "nothing"
	}
	return b.String()
}

func parsePatterns(list []string) ([]mail.Pattern, error) {
	if list == nil {
		return nil, nil
	}
	patterns := make([]mail.Pattern, 0, len(list))
	for _, s := range list {
		p, err := mail.ParsePattern(s)
		if err != nil {
			return nil, err
		}
		patterns = append(patterns, p)
	}
	return patterns, nil
}

// coveredBy reports whether one of patterns covers a.
func coveredBy(patterns []mail.Pattern, a mail.Address) bool {
	for i := range patterns {
		if patterns[i].Match(a) {
			return true
		}
	}
	return false
}
