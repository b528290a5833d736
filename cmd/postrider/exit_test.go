package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/postrider/postrider/relay/admin"
)

// TestExitCodes: what scripts and supervisors go by, for errors that are hard to
// bring about from outside.
func TestExitCodes(t *testing.T) {
	listen := func(err error) error {
		return fmt.Errorf("listener apps: %w", &net.OpError{Op: "listen", Net: "tcp", Err: err})
	}
	for _, row := range []struct {
		why  string
		err  error
		want int
	}{
		{"a socket whose directory is not there", listen(os.NewSyscallError("bind", syscall.ENOENT)), exitConfig},
		{"an address that is none", listen(&net.AddrError{Err: "missing port in address"}), exitConfig},
		{"a name that does not exist", listen(&net.DNSError{Err: "no such host", IsNotFound: true}), exitConfig},
		{"a name that nobody answers for", listen(&net.DNSError{Err: "i/o timeout", IsTimeout: true}), exitTemporary},
		{"an address that is taken", listen(os.NewSyscallError("bind", syscall.EADDRINUSE)), exitUnavailable},
		{"a port that is not for us", listen(os.NewSyscallError("bind", syscall.EACCES)), exitPermission},
		{"no space", &fs.PathError{Op: "write", Err: syscall.ENOSPC}, exitTemporary},
		{"a question that makes no sense", &admin.Error{Kind: admin.BadRequest}, exitUsage},
		{"anything else", errors.New("a fault of ours"), exitSoftware},
	} {
		if got := exitCode(row.err); got != row.want {
			t.Errorf("%s: %d, want %d", row.why, got, row.want)
		}
	}
}
