package config

import (
	"net"
	"net/netip"
	"strings"
)

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

const unixPrefix = "unix:"

// Unix reports whether l listens on a unix socket.
func (l *Listener) Unix() bool { return strings.HasPrefix(l.Address, unixPrefix) }

// Local reports whether only this machine (or pod) can reach l: a unix socket or
// a loopback address.
func (l *Listener) Local() bool {
	if l.Unix() {
		return true
	}
	host, _, err := net.SplitHostPort(l.Address)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
