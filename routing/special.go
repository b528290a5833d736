package routing

import (
	"net/netip"
	"strings"
	"time"
)

// canonical is the form names are asked and compared in.
func canonical(name string) string {
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// special answers for names that DNS must not be asked about: localhost is the
// loopback wherever one runs (RFC 6761 6.3), and nothing below "invalid" exists
// (6.4).
func special(q question) *Answer {
	switch {
	case isLocalhost(q.name):
		a := &Answer{Name: q.name, Exists: true, TTL: maxTTL, Asked: time.Now()}
		switch q.kind {
		case TypeA:
			a.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
		case TypeAAAA:
			a.Addresses = []netip.Addr{netip.IPv6Loopback()}
		}
		return a
	case q.name == "invalid" || strings.HasSuffix(q.name, ".invalid"):
		return &Answer{Name: q.name, TTL: maxTTL, Asked: time.Now()}
	}
	return nil
}

func isLocalhost(name string) bool {
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// mailPort is that of all mail servers. On it, a loopback address in somebody's DNS
// leads to a mail server on this machine that may trust whoever comes from it.
const mailPort = 25
