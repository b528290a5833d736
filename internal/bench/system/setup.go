package system

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/bench/load"
)

// Setup is what a relay is to be configured for.
type Setup struct {
	// Next is the smarthost all mail goes to, host:port. Empty: each
	// destination's own address is found (see Destination), at DestinationPort.
	Next            string
	DestinationPort uint16
	Resolver        string // name server that knows the destinations
	// Auth adds a listener with STARTTLS and AUTH, with the user below.
	Auth bool
	// SlowSync is added to each fsync and fdatasync.
	SlowSync time.Duration
}

// User may log in where Setup.Auth is set.
var User = load.Credentials{User: "sender@relay.example", Password: "bench-bench"}

// Destinations is how many destinations there are.
const Destinations = 1000

// destinationsInNet is how many destinations share the third octet of their
// addresses.
const destinationsInNet = 250

// Destination returns the n-th destination's domain and the one address where
// it takes mail. Postrider finds it by MX and A records from a Zone, Postfix by a
// pattern in its transport table, since it can't be given a resolver of its own.
func Destination(n int) (domain string, address netip.Addr) {
	third, fourth := n/destinationsInNet, 1+n%destinationsInNet
	return fmt.Sprintf("d%d-%d.%s", third, fourth, zoneOrigin), destinationAddress(third, fourth)
}

func destinationAddress(third, fourth int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, 1, byte(third), byte(fourth)})
}

const zoneOrigin = "bench.example"
