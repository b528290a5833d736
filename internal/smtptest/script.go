package smtptest

import (
	"crypto/tls"
	"strings"
	"time"
)

// Step is a point in a session at which a script may say something of its own.
type Step string

// Steps. Content is the end of the data, by dot or by the last BDAT chunk.
const (
	Connect  Step = "connect"
	EHLO     Step = "EHLO"
	HELO     Step = "HELO"
	StartTLS Step = "STARTTLS"
	Auth     Step = "AUTH"
	Mail     Step = "MAIL"
	Rcpt     Step = "RCPT"
	Data     Step = "DATA"
	Content  Step = "content"
	Reset    Step = "RSET"
	Quit     Step = "QUIT"
)

// Action is what a peer does at a step. The zero Action is what a server does that
// has no objections.
type Action struct {
	// Reply is sent with CRLF. Lines are separated by "\n" and complete with
	// their codes: "250-a\n250 b".
	Reply string
	// Raw is sent as it is, instead of Reply.
	Raw string
	// Delay is waited before anything else.
	Delay time.Duration
	// Trickle sends the reply octet by octet with this long between them.
	Trickle time.Duration
	// Hang never answers, and reads on until the client goes away.
	Hang bool
	// Close ends the connection after the reply, if there is one.
	Close bool
	// Abort ends the connection as a server does that crashes: what it has said
	// to commands of the same flight before is lost.
	Abort bool
}

func (a Action) isZero() bool { return a == Action{} }

// Command is what an Action is an answer to.
type Command struct {
	Step Step
	// Line is the whole line without its end; empty for Connect and Content.
	Line string
	// Path is the address in MAIL or RCPT, without brackets.
	Path string
	// N counts this step from 1, Session counts sessions from 1, and Of counts
	// this step within its session from 1.
	N, Session, Of int
	// Recipients have been accepted so far in this transaction.
	Recipients int
}

// Actor decides what to do at a step.
type Actor func(Command) Action

// Say answers the same every time.
func Say(reply string) Actor {
	return Do(Action{Reply: reply})
}

// Do does the same every time.
func Do(a Action) Actor {
	return func(Command) Action { return a }
}

// InTurn does one action after the other, and from then on what a server does
// that has no objections.
func InTurn(actions ...Action) Actor {
	return func(c Command) Action {
		if c.N <= len(actions) {
			return actions[c.N-1]
		}
		return Action{}
	}
}

// ByPath answers by the address in MAIL or RCPT, ignoring case.
func ByPath(replies map[string]string) Actor {
	return func(c Command) Action {
		return Action{Reply: replies[strings.ToLower(c.Path)]}
	}
}

// Script is what a peer is like. The zero Script is a server that knows EHLO, no
// extensions, and takes everything.
type Script struct {
	// Keywords are the lines after the first in the answer to EHLO. STARTTLS and
	// AUTH are added by TLS and Users.
	Keywords []string
	// TLS is offered by STARTTLS; with Implicit, spoken from the first octet.
	TLS      *tls.Config
	Implicit bool
	// Users are names and passwords. With any, MAIL needs AUTH.
	Users map[string]string
	// Mechanisms are offered to Users; by default all that the peer speaks: PLAIN,
	// LOGIN, CRAM-MD5, SCRAM-SHA-256.
	Mechanisms []string
	// On says what happens where something else happens than usual.
	On map[Step]Actor
	// Forget keeps no content and no octets, for benchmarks.
	Forget bool
}
