package policy

import (
	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// Judge decides about transactions. A session holds one for a transaction, so
// that a reload never changes the rules in the middle of it.
type Judge interface {
	// Limits returns the limits id is under, for EHLO and early refusals:
	// size in octets and recipients in a message; zero for none beyond the
	// server's own.
	Limits(id *mail.Identity) (size int64, recipients int)

	// Connections returns how many connections id may have open at once; zero
	// for none beyond the server's own.
	Connections(id *mail.Identity) int

	// Sender answers MAIL: may id use from as reverse-path for a message of
	// size octets (0: not said)? It does not count anything yet.
	Sender(id *mail.Identity, from mail.Path, size int64) error

	// Recipient answers RCPT: may id send to rcpt, with accepted recipients
	// already in the transaction?
	Recipient(id *mail.Identity, rcpt mail.Address, accepted int) error

	// Plan tells beforehand what Message will say of a message it lets through:
	// the header goes into the queue before the message has an end, so what
	// changes the header must be known by then.
	Plan(id *mail.Identity) Verdict

	// Message answers the end of the data: the octets that were received, as SIZE
	// declares them (RFC 1870 6), and the header From addresses as found. It counts
	// the message against the limits if it returns nil error, and says what else
	// is to be done.
	Message(id *mail.Identity, size int64, from []mail.Address) (Verdict, error)
}

// Verdict is what is to be done with a message that was let through.
type Verdict struct {
	Policy      string // name of the rule; empty where none applies
	Environment config.Environment
	RedirectTo  []mail.Address
	Rewrite     config.Rewrite
	// Bounces is where failure reports go: "" (to the sender), "none", or an
	// address.
	Bounces string
	// Undo, if not nil, gives back what the message took of the limits. It is
	// called at most once, if the message could not be stored.
	Undo func()
}
