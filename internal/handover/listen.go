// Package handover opens an address in the place of others that this process is
// about to close, without a moment in which none of them is open.
//
// It starts no goroutine and keeps nothing; after a crash there is nothing to
// clean up.
package handover

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// Listen opens a TCP address. Where it overlaps that of a listener in closing, as
// 127.0.0.1:25 and :25 do, both are open until the caller closes the other one.
// Systems that can't do that, and an address of another process, give the error
// syscall.EADDRINUSE.
func Listen(ctx context.Context, address string, closing ...net.Listener) (net.Listener, error) {
	// Sessions have deadlines of their own; probes of the kernel would only cost
	// four more system calls for each connection.
	lc := net.ListenConfig{KeepAlive: -1}
	l, err := lc.Listen(ctx, "tcp", address)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	_, port, _ := net.SplitHostPort(address)
	for _, old := range closing {
		if _, p, _ := net.SplitHostPort(old.Addr().String()); p == port && share(old, true) == nil {
			defer share(old, false)
			lc.Control = shared
		}
	}
	if lc.Control == nil {
		return nil, err
	}
	if l, err = lc.Listen(ctx, "tcp", address); err == nil {
		// Nobody else is to share it.
		_ = share(l, false)
	}
	return l, err
}

// share says whether l shares its address with others of the same user that say so
// too.
func share(l net.Listener, on bool) error {
	c, ok := l.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	return setShared(raw, on)
}

func shared(_, _ string, raw syscall.RawConn) error { return setShared(raw, true) }
