package routing

import (
	"net/netip"
	"time"
)

// NextHop is one host to try, with all of its addresses.
type NextHop struct {
	// Host is the name TLS certificates are checked for and logs show: the
	// exchanger, the smarthost, or an IP address without brackets.
	Host       string
	Port       uint16
	Preference uint16
	// Addresses are in the order they are to be tried: IPv6 and IPv4 in turns
	// (RFC 8305 section 4), what failed lately last. There is at least one.
	Addresses []netip.Addr
	// Implicit says that TLS starts with the first octet.
	Implicit bool
	// Username is whom to log in as, for a smarthost that wants that; the
	// password is the route's.
	Username string
}

// Plan is the answer to "where does this go": the hops of one attempt in order,
// or why there are none.
type Plan struct {
	Route *Route
	Hops  []NextHop
	// Steps tell how it came to that, for people. Only Explain makes them.
	Steps []Step
}

// Step is one decision or look-up on the way to a Plan.
type Step struct {
	What   string // "CNAME sh.example.net", "MX example.net", "route provider"
	Result string
	TTL    time.Duration // of the answer, what is left of it; zero where there is none
	Took   time.Duration // zero for a decision, or an answer that was cached
}

// MaxHosts is how many hosts one attempt goes to.
const MaxHosts = 5
