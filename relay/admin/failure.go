package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/postrider/postrider/queue"
)

// ErrNoDaemon says that nobody answers at the control socket.
var ErrNoDaemon = errors.New("no daemon is running")

// Kind says whose fault an Error is.
type Kind string

// Kinds of errors.
const (
	BadRequest  Kind = "request"     // it makes no sense
	NotFound    Kind = "not_found"   // it names what is not in the queue
	Unavailable Kind = "unavailable" // the same may succeed later
	Internal    Kind = "internal"
)

// Error is what the daemon answers instead of doing what it was asked.
type Error struct {
	Kind Kind   `json:"kind"`
	Text string `json:"error"`
}

// Error returns the daemon's words.
func (e *Error) Error() string { return e.Text }

// errorOf returns err as it goes over the socket.
func errorOf(err error) *Error {
	var known *Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, queue.ErrNotFound):
		return &Error{NotFound, err.Error()}
	case errors.Is(err, queue.ErrUnselective), errors.Is(err, queue.ErrHoldRule):
		return &Error{BadRequest, err.Error()}
	case errors.Is(err, queue.ErrNoSpace), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Error{Unavailable, err.Error()}
	}
	return &Error{Internal, err.Error()}
}

// status is e's HTTP status.
func (e *Error) status() int {
	switch e.Kind {
	case BadRequest:
		return http.StatusBadRequest
	case NotFound:
		return http.StatusNotFound
	case Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
