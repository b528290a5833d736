//go:build unix

package delivery

import (
	"net"
	"syscall"
)

// quiet reports whether an idle connection is as it was left: nothing has been
// said on it and it has not been closed. Anything that waits to be read, be it
// 421, the end, or an error, means that the peer is done with it. A connection
// without a descriptor counts as quiet.
func quiet(conn net.Conn) bool {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	still := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		still = err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		return true // whatever was seen: don't wait for more
	})
	return err == nil && still
}
