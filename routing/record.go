package routing

import (
	"errors"
	"net/netip"
	"time"
)

// Type is a type of DNS records.
type Type uint16

// The types that routing asks for (RFC 1035 3.2.2, RFC 3596).
const (
	TypeA     Type = 1
	TypeCNAME Type = 5
	TypeMX    Type = 15
	TypeAAAA  Type = 28
)

// String returns the name of the type.
func (t Type) String() string {
	switch t {
	case TypeA:
		return "A"
	case TypeCNAME:
		return "CNAME"
	case TypeMX:
		return "MX"
	case TypeAAAA:
		return "AAAA"
	}
	return "TYPE?"
}

// MX is a mail exchanger. Host is lower case without its last dot; it is empty
// for the root, the null MX of RFC 7505.
type MX struct {
	Preference uint16
	Host       string
}

// Alias is a CNAME that was followed.
type Alias struct {
	Owner, Target string
	TTL           time.Duration
}

// Answer is what DNS says about a name and a type. It is shared between callers
// and never changed.
type Answer struct {
	// Name is where the aliases ended: the name the records belong to.
	Name    string
	Aliases []Alias
	// Exists is false if there is no such name (NXDOMAIN). A name without
	// records of the type exists and has none.
	Exists    bool
	MX        []MX         // in order of preference
	Addresses []netip.Addr // in the order of the answer
	// TTL is the shortest of all that went into the answer, bounded, counted
	// from Asked.
	TTL   time.Duration
	Asked time.Time
}

// empty reports whether there is nothing to go to.
func (a *Answer) empty() bool { return len(a.MX) == 0 && len(a.Addresses) == 0 }

// left returns what is left of the TTL at now.
func (a *Answer) left(now time.Time) time.Duration {
	return max(a.TTL-now.Sub(a.Asked), 0)
}

// ErrAliasLoop says that CNAMEs lead in a circle, or on and on. It is permanent;
// every other error of a look-up is temporary.
var ErrAliasLoop = errors.New("CNAMEs lead in a circle")

// Bounds on one answer.
const (
	maxAliases   = 10
	maxMX        = 50
	maxAddresses = 32
)

// question is what is asked: a name in lower case without its last dot.
type question struct {
	name string
	kind Type
}

// record is one record of an answer.
type record struct {
	owner  string // lower case, without its last dot
	kind   Type
	ttl    time.Duration
	target string // of CNAME and MX, as owner
	pref   uint16
	addr   netip.Addr
}

// response is one server's answer.
type response struct {
	nxdomain bool
	records  []record
	// negativeTTL is how long the absence of records holds (RFC 2308 5); zero
	// if the server did not say.
	negativeTTL time.Duration
}
