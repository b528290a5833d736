package submission

import (
	"net"

	"golang.org/x/sys/unix"

	"github.com/postrider/postrider/policy"
)

// peerOf returns the process at the other end of a unix socket, as the kernel
// noted it when it connected; nil if it can't tell.
func peerOf(conn net.Conn) *policy.Peer {
	u, ok := conn.(*net.UnixConn)
	if !ok {
		return nil
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return nil
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || credErr != nil {
		return nil
	}
	return &policy.Peer{PID: int(cred.Pid), UID: int(cred.Uid), GID: int(cred.Gid)}
}
