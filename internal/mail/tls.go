package mail

import (
	"crypto/tls"
	"strings"
)

// TLSName returns the protocol version as the log and trace fields spell it, such
// as TLSv1.3; nothing for a connection in clear.
func TLSName(c *tls.ConnectionState) string {
	switch {
	case c == nil || c.Version == 0:
		return ""
	case c.Version == tls.VersionTLS13:
		return "TLSv1.3"
	case c.Version == tls.VersionTLS12:
		return "TLSv1.2"
	}
	return strings.Replace(tls.VersionName(c.Version), "TLS ", "TLSv", 1)
}
