package routing

import (
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/config"
)

// NextHop is one host to try, with all of its addresses.
type NextHop struct {
	// Host is the name TLS certificates are checked for and logs show: the
	// exchanger, the smarthost, or an address literal.
	Host       string
	Port       uint16
	Preference uint16
	// Addresses are in the order they are to be tried.
	Addresses []netip.Addr
	// Implicit says that TLS starts with the first octet.
	Implicit bool
}

// Plan is the answer to "where does this go": the hops of one attempt in order,
// or why there are none.
type Plan struct {
	Route *Route
	Hops  []NextHop
	// Steps tell how it came to that, for people.
	Steps []Step
}

// Step is one decision or look-up on the way to a Plan.
type Step struct {
	What   string // "CNAME sh.example.net", "MX example.net", "route provider"
	Result string
	TTL    time.Duration // of the answer; zero where there is none
	Took   time.Duration
}

// Route is a row of the route table, ready for use.
type Route struct {
	config.Route
	// Smarthost says that hops come from the configuration, so that a refused
	// login or certificate is the route's fault and never the message's.
	Smarthost bool
}
