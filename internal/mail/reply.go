package mail

import (
	"errors"
	"fmt"
	"strings"
)

// EnhancedCode is an enhanced mail system status code (RFC 3463). The zero
// EnhancedCode means none.
type EnhancedCode [3]int

// String returns "x.y.z", or nothing for none.
func (e EnhancedCode) String() string {
	if e == (EnhancedCode{}) {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", e[0], e[1], e[2])
}

// Reply is an SMTP reply, a peer's or ours. The zero Reply means that none came.
type Reply struct {
	Code     int
	Enhanced EnhancedCode
	// Text is the human part without codes; lines are separated by "\n".
	Text string
}

// Permanent reports whether r is an explicit 5yz. All that is neither that nor
// positive is temporary, no reply too: unknown is temporary.
func (r Reply) Permanent() bool { return r.Code >= 500 && r.Code <= 599 }

// Positive reports whether r is a 2yz.
func (r Reply) Positive() bool { return r.Code >= 200 && r.Code <= 299 }

// String returns the reply on one line: "550 5.1.1 no such user".
func (r Reply) String() string {
	if r.Code == 0 {
		return "no reply"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d ", r.Code)
	if r.Enhanced != (EnhancedCode{}) {
		b.WriteString(r.Enhanced.String())
		b.WriteByte(' ')
	}
	b.WriteString(strings.ReplaceAll(r.Text, "\n", " "))
	return strings.TrimRight(b.String(), " ")
}

// Error is a reply as an error: what a peer answered, or what we answer.
type Error struct {
	Reply
	// Cause is what lies behind it. It is for the log, never for a client.
	Cause error
}

// Errorf makes an Error of our own with the given codes and text.
func Errorf(code int, enhanced EnhancedCode, format string, args ...any) *Error {
	return &Error{Reply: Reply{Code: code, Enhanced: enhanced, Text: fmt.Sprintf(format, args...)}}
}

// Because returns a copy of e with cause behind it.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.Cause = cause
	return &c
}

// Error tells the reply and the cause, if there is one.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Reply.String()
	}
	return e.Reply.String() + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// ReplyOf returns the reply inside err, or fallback if there is none.
func ReplyOf(err error, fallback Reply) Reply {
	var e *Error
	if errors.As(err, &e) {
		return e.Reply
	}
	return fallback
}
