package delivery

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// inWords says what happened to a connection so that a person understands it; it
// ends up in the queue's list and in reports. What it does not know stays as it
// is.
func inWords(err error) string {
	switch {
	case errors.As(err, new(unconnectable)):
		return err.Error() // tells the addresses
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the other side closed the connection"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the other side broke the connection off"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout: the other side did not answer in time"
	}
	return err.Error()
}
