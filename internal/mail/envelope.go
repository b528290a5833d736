package mail

import (
	"net/netip"
	"time"
)

// Identity is who submitted a message, as far as it was proven, and from where.
type Identity struct {
	// Name is what policies match and fairness counts: a user name, a
	// certificate subject, or the fixed identity of a listener.
	Name string
	// Groups are the groups of Name that its back end knows.
	Groups []string
	// Mechanism is the SASL mechanism ("PLAIN", "SCRAM-SHA-256", ...),
	// "peer" for a unix socket's credentials, or "none".
	Mechanism string
	// Listener is the listener's name, by default its address.
	Listener string
	// Remote is the client's address; the zero AddrPort on unix sockets.
	Remote netip.AddrPort
	// Helo is the name the client gave in EHLO or HELO.
	Helo string
	// TLS describes the client's connection, such as "TLSv1.3"; empty if clear.
	TLS string
}

// Body is what the content is made of (RFC 6152, RFC 3030).
type Body uint8

// The values of the BODY parameter.
const (
	Body7Bit Body = iota // also when MAIL said nothing
	Body8BitMIME
	BodyBinaryMIME
)

// String returns the value as it stands in MAIL.
func (b Body) String() string {
	switch b {
	case Body8BitMIME:
		return "8BITMIME"
	case BodyBinaryMIME:
		return "BINARYMIME"
	}
	return "7BIT"
}

// Return is how much of the message a failure report brings back (RFC 3461
// 4.3).
type Return uint8

// The values of the RET parameter.
const (
	ReturnDefault Return = iota // the client did not say
	ReturnFull
	ReturnHeaders
)

// Notify is the set of events the sender asked to be told of (RFC 3461 4.1).
// The zero set means that it did not say: failures, and delays if the relay
// likes.
type Notify uint8

// Members of a Notify set. NotifyNever stands alone.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Has reports whether n asks for event. Silence asks for failures and delays.
func (n Notify) Has(event Notify) bool {
	if n == 0 {
		return event == NotifyFailure || event == NotifyDelay
	}
	return n&event != 0
}

// Recipient is one forward-path with what its RCPT said.
type Recipient struct {
	Address Address
	Notify  Notify
	// OriginalType and Original are ORCPT (RFC 3461 4.2), xtext decoded:
	// "rfc822" and the address the sender first wrote. Empty if not given.
	OriginalType, Original string
}

// Envelope is a message without its content: what MAIL, RCPT and AUTH said and
// what was noted when the content arrived. It does not change once committed.
type Envelope struct {
	ID         ID
	Arrival    time.Time
	From       Path
	Recipients []Recipient
	Identity   Identity
	Body       Body
	SMTPUTF8   bool
	RequireTLS bool   // RFC 8689
	Return     Return // RET
	EnvelopeID string // ENVID, xtext decoded
	// Reports says where reports go instead of to From: empty (to From),
	// "none", or an address. A policy sets it.
	Reports string
	// MessageID is the header field, with its angle brackets.
	MessageID string
	// Size is that of the content as it is relayed, in octets.
	Size int64
	// EightBit says that the content holds octets above 127, whatever MAIL said.
	EightBit bool
}
