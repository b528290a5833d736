package config

import (
	"net/netip"

	"github.com/postrider/postrider/internal/mail"
)

// Environment says what becomes of mail a policy has let through.
type Environment string

// Values of policies[].environment.
const (
	EnvironmentDeliver   Environment = "deliver"
	EnvironmentAllowlist Environment = "allowlist" // only recipients.allow, others 550
	EnvironmentRedirect  Environment = "redirect"  // to redirect_to instead
	EnvironmentCapture   Environment = "capture"   // kept for an operator to release
)

// Policy is one rule about who may send what. The first that matches applies.
type Policy struct {
	Name        string           `yaml:"name"` // default: policies[N]
	Match       PolicyMatch      `yaml:"match"`
	Senders     []string         `yaml:"senders"` // nil: any
	Recipients  PolicyRecipients `yaml:"recipients"`
	Limits      PolicyLimits     `yaml:"limits"`
	Environment Environment      `yaml:"environment"`
	RedirectTo  []mail.Address   `yaml:"redirect_to"`
	Rewrite     Rewrite          `yaml:"rewrite"`
	Bounces     string           `yaml:"bounces"` // sender (default), none, or an address
}

// PolicyMatch holds the conditions of a policy; all that are given must hold.
type PolicyMatch struct {
	User     StringList     `yaml:"user"`
	Group    StringList     `yaml:"group"`
	Listener StringList     `yaml:"listener"`
	Network  []netip.Prefix `yaml:"network"`
}

// PolicyRecipients are patterns of forward-paths. deny is asked first.
type PolicyRecipients struct {
	Allow []string `yaml:"allow"`
	Deny  []string `yaml:"deny"`
}

// PolicyLimits bound what one identity may do. Zero means no limit of its own.
type PolicyLimits struct {
	Messages    Rate     `yaml:"messages"`
	Bytes       SizeRate `yaml:"bytes"`
	Recipients  int      `yaml:"recipients"`
	Size        Size     `yaml:"size"`
	Connections int      `yaml:"connections"`
}

// Rewrite changes the sender of what a policy lets through.
type Rewrite struct {
	ReversePath *mail.Address `yaml:"reverse_path"`
	From        *mail.Address `yaml:"from"` // the old From becomes Reply-To if there is none
}
