package delivery

import (
	"github.com/postrider/postrider/internal/mail"
)

// trouble is why a host could not be used: a reply that refuses, or what
// happened instead of a reply.
type trouble struct {
	at    stage
	reply mail.Reply // zero: none came
	cause error
	// nowhere: no address of the host could be connected to.
	nowhere bool
}

// Error tells the reply or the cause, and where.
func (t *trouble) Error() string {
	if t.reply.Code != 0 {
		return t.at.String() + ": " + t.reply.String()
	}
	return t.at.String() + ": " + inWords(t.cause)
}

// Unwrap returns the cause.
func (t *trouble) Unwrap() error { return t.cause }

// reason is what goes beside the reply into a result: nothing if there is a
// reply, the words of the error if there is none.
func (t *trouble) reason() string {
	if t.reply.Code != 0 {
		return ""
	}
	return t.Error()
}
