// Package config is the configuration: one YAML file, the environment over it,
// defaults under it. Load either returns a configuration in which every value
// has been checked, or an error that names file, line, key and what was
// expected; nothing half-starts.
//
// The types here are plain data. Rooms take them as they are, so that a setting
// has one name from the file to the place where it acts. A loaded Config is not
// changed; a reload makes a new one.
package config

import (
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// Config is the whole file. Keys are documented in docs/configuration.md.
type Config struct {
	Hostname        string        `yaml:"hostname"`
	StateDir        string        `yaml:"state_dir"`
	Listeners       []Listener    `yaml:"listeners"`
	TLS             TLS           `yaml:"tls"`
	Auth            Auth          `yaml:"auth"`
	Submission      Submission    `yaml:"submission"`
	Policies        []Policy      `yaml:"policies"` // nil: no policies key at all
	Routes          []Route       `yaml:"routes"`
	Delivery        Delivery      `yaml:"delivery"`
	DNS             DNS           `yaml:"dns"`
	Retry           Retry         `yaml:"retry"`
	Queue           Queue         `yaml:"queue"`
	Admin           Admin         `yaml:"admin"`
	Log             Log           `yaml:"log"`
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout"`

	// Source is the file all this was read from; empty for the embedded default.
	Source string `yaml:"-"`
}

// ListenerTLS says when a listener's connections are encrypted.
type ListenerTLS string

// Values of listeners[].tls.
const (
	TLSNone     ListenerTLS = "none"     // STARTTLS is not offered
	TLSStartTLS ListenerTLS = "starttls" // offered
	TLSRequired ListenerTLS = "required" // STARTTLS before MAIL
	TLSImplicit ListenerTLS = "implicit" // from the first octet (RFC 8314)
)

// ListenerAuth says how a listener's clients are known.
type ListenerAuth string

// Values of listeners[].auth.
const (
	AuthRequired ListenerAuth = "required" // SASL before MAIL
	AuthNone     ListenerAuth = "none"     // loopback and unix sockets only
	AuthPeer     ListenerAuth = "peer"     // unix sockets: the calling process's user
)

// BareNewlines says what happens to CR or LF alone in content.
type BareNewlines string

// Values of listeners[].bare_newlines.
const (
	BareRefuse    BareNewlines = "refuse"    // 550 5.6.0
	BareNormalise BareNewlines = "normalise" // each becomes CRLF
)

// Listener is one place where clients connect.
type Listener struct {
	Name              string         `yaml:"name"`    // default: the address
	Address           string         `yaml:"address"` // host:port, or unix:/path
	TLS               ListenerTLS    `yaml:"tls"`
	Auth              ListenerAuth   `yaml:"auth"`
	Identity          string         `yaml:"identity"` // with auth: none
	AllowInsecureAuth bool           `yaml:"allow_insecure_auth"`
	BareNewlines      BareNewlines   `yaml:"bare_newlines"`
	LegacyAuthLine    bool           `yaml:"legacy_auth_line"` // also advertise "AUTH=..."
	ProxyProtocol     []netip.Prefix `yaml:"proxy_protocol"`   // proxies that must send a PROXY header
}

// TLS holds the certificate listeners show and how client certificates are
// checked. Without certificate and key a self-signed one is generated.
type TLS struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	ClientCA    string `yaml:"client_ca"`
}

// Auth holds the back ends that know users.
type Auth struct {
	UsersFile string `yaml:"users_file"`
	// Certificates maps client certificates to identities (EXTERNAL).
	Certificates []CertificateIdentity `yaml:"certificates"`
	// Groups: group name to user names, for policies.
	Groups map[string][]string `yaml:"groups"`
	// MaxFailures is how many failed AUTH commands a session may have before 421.
	MaxFailures int `yaml:"max_failures"`
}

// CertificateIdentity names who shows a client certificate.
type CertificateIdentity struct {
	Subject  string `yaml:"subject"` // DNS name, e-mail or URI of the SAN, or the common name
	Identity string `yaml:"identity"`
}

// Submission bounds what clients may take up.
type Submission struct {
	MaxConnections            int           `yaml:"max_connections"`
	MaxConnectionsPerAddress  int           `yaml:"max_connections_per_address"`
	MaxConnectionsPerIdentity int           `yaml:"max_connections_per_identity"`
	MaxMessageSize            Size          `yaml:"max_message_size"`
	MaxRecipients             int           `yaml:"max_recipients"`
	MaxHeaderSize             Size          `yaml:"max_header_size"`
	CommandTimeout            time.Duration `yaml:"command_timeout"`
	DataTimeout               time.Duration `yaml:"data_timeout"`    // for one block of content
	MessageTimeout            time.Duration `yaml:"message_timeout"` // for the whole content
	SessionTimeout            time.Duration `yaml:"session_timeout"`
}

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

// RouteTLS says how far a route insists on TLS.
type RouteTLS string

// Values of routes[].tls and delivery.tls.
const (
	RouteTLSNone          RouteTLS = "none"
	RouteTLSOpportunistic RouteTLS = "opportunistic" // STARTTLS if offered, unverified, else in clear
	RouteTLSRequire       RouteTLS = "require"       // encrypted, certificate not verified
	RouteTLSVerify        RouteTLS = "verify"        // encrypted, certificate verified for the host name
	RouteTLSDANE          RouteTLS = "dane"
)

// Route says how mail that matches goes on. The first that matches applies.
type Route struct {
	Name         string        `yaml:"name"` // default: routes[N]; "mx" is the built-in last one
	Match        RouteMatch    `yaml:"match"`
	Smarthosts   []Smarthost   `yaml:"smarthosts"` // empty: MX delivery
	Username     string        `yaml:"username"`
	Password     Secret        `yaml:"password"`
	PasswordFile string        `yaml:"password_file"`
	Mechanisms   []string      `yaml:"mechanisms"` // default: the strongest offered
	TLS          RouteTLS      `yaml:"tls"`        // default: verify with a password, else opportunistic
	CAFile       string        `yaml:"ca_file"`    // default: the system's
	InsecureAuth bool          `yaml:"allow_insecure_auth"`
	Concurrency  int           `yaml:"concurrency"` // connections at once; default delivery.destination_concurrency
	Messages     Rate          `yaml:"messages"`    // pace of the route, such as 30/minute
	Lifetime     time.Duration `yaml:"-"`
}

// RouteMatch holds the conditions of a route; all that are given must hold.
// Domains are exact; ".example.com" matches its subdomains.
type RouteMatch struct {
	RecipientDomain StringList `yaml:"recipient_domain"`
	Sender          StringList `yaml:"sender"`
	Identity        StringList `yaml:"identity"`
	Listener        StringList `yaml:"listener"`
}

// Delivery holds settings of sending in general.
type Delivery struct {
	Port                   uint16        `yaml:"port"`
	TLS                    RouteTLS      `yaml:"tls"`                     // of MX delivery
	Concurrency            int           `yaml:"concurrency"`             // attempts at once, in all
	DestinationConcurrency int           `yaml:"destination_concurrency"` // to one destination
	RecipientsPerMessage   int           `yaml:"recipients_per_transaction"`
	ConnectTimeout         time.Duration `yaml:"connect_timeout"`
	IdleTimeout            time.Duration `yaml:"idle_timeout"` // of a kept connection
	AddressLiterals        bool          `yaml:"address_literals"`
	IPv6                   bool          `yaml:"ipv6"`
}

// DNS says whom to ask.
type DNS struct {
	Servers []netip.AddrPort `yaml:"servers"` // default: resolv.conf
	Timeout time.Duration    `yaml:"timeout"`
}

// Retry is the clock of deferred deliveries.
type Retry struct {
	Intervals []time.Duration `yaml:"intervals"` // the last repeats
	Lifetime  time.Duration   `yaml:"lifetime"`
	WarnAfter time.Duration   `yaml:"warn_after"` // 0: never
}

// Queue bounds what may wait.
type Queue struct {
	MaxBytes Size `yaml:"max_bytes"`
	MinFree  Size `yaml:"min_free"`
	// Memory is what the storage engine may use for caches and write buffers.
	Memory Size `yaml:"memory"`
}

// Admin is the HTTP listener for health and metrics.
type Admin struct {
	Address string `yaml:"address"` // empty: none
}

// LogFormat is how an event looks on stderr.
type LogFormat string

// Values of log.format.
const (
	LogJSON    LogFormat = "json"
	LogText    LogFormat = "text"
	LogPostfix LogFormat = "postfix" // lines that tools for Postfix's log understand
)

// LogLevel is what is left out of the log.
type LogLevel string

// Values of log.level.
const (
	LogDebug LogLevel = "debug"
	LogInfo  LogLevel = "info"
	LogWarn  LogLevel = "warn"
	LogError LogLevel = "error"
)

// Log says what goes to stderr.
type Log struct {
	Format LogFormat `yaml:"format"`
	Level  LogLevel  `yaml:"level"`
}
