package handover

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// setShared sets SO_REUSEPORT. Linux looks at it when another socket is bound, so it
// may be set on one that has been open for long.
func setShared(raw syscall.RawConn, on bool) error {
	value := 0
	if on {
		value = 1
	}
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, value)
	})
	if err != nil {
		return err
	}
	return failed
}
