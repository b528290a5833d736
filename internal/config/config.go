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
	// Memory is what the whole process tries to get by with.
	Memory Size `yaml:"memory"`

	// Source is the file all this was read from; empty for the embedded default.
	Source string `yaml:"-"`
	// Warnings tell what is odd and no fault.
	Warnings Errors `yaml:"-"`

	places places `yaml:"-"`
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

// Delivery holds settings of sending in general.
type Delivery struct {
	Port                     uint16        `yaml:"port"`
	TLS                      RouteTLS      `yaml:"tls"`                     // of MX delivery
	Concurrency              int           `yaml:"concurrency"`             // attempts at once, in all
	DestinationConcurrency   int           `yaml:"destination_concurrency"` // to one destination
	DestinationMessages      Rate          `yaml:"destination_messages"`    // to each destination
	RecipientsPerTransaction int           `yaml:"recipients_per_transaction"`
	ConnectTimeout           time.Duration `yaml:"connect_timeout"`
	IdleTimeout              time.Duration `yaml:"idle_timeout"` // of a kept connection
	AddressLiterals          bool          `yaml:"address_literals"`
	IPv6                     bool          `yaml:"ipv6"`
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
	// Memory is what the storage engine may use for caches and write buffers:
	// its part of Config.Memory where the file says nothing else.
	Memory Size `yaml:"memory"`
}

// Admin is the HTTP listener for health and metrics.
type Admin struct {
	Address string `yaml:"address"` // empty: none
	Pprof   bool   `yaml:"pprof"`   // profiles of the running process too
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
