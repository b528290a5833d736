//go:build !linux

package handover

import (
	"errors"
	"syscall"
)

// setShared does nothing: elsewhere sockets share an address only if they were
// bound to.
func setShared(syscall.RawConn, bool) error { return errors.ErrUnsupported }
