package main

import (
	"errors"
	"io/fs"
	"net"
	"syscall"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
	"github.com/postrider/postrider/relay/admin"
)

// Exit codes of sysexits.h.
const (
	exitOK          = 0
	exitUsage       = 64
	exitData        = 65
	exitUnavailable = 69
	exitSoftware    = 70
	exitTemporary   = 75
	exitPermission  = 77
	exitConfig      = 78
)

// exitCodeOf is the code for what the daemon answers.
var exitCodeOf = map[admin.Kind]int{
	admin.BadRequest:  exitUsage,
	admin.NotFound:    exitData,
	admin.Unavailable: exitTemporary,
	admin.Internal:    exitSoftware,
}

// usageError is a call that makes no sense.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// dataError is input that can't be taken, or that names what does not exist.
type dataError struct{ text string }

func (e dataError) Error() string { return e.text }

// reported is an error that the user has already been told of.
type reported struct{ error }

func (e reported) Unwrap() error { return e.error }

// exitCode returns the code for err.
func exitCode(err error) int {
	var (
		usage  usageError
		data   dataError
		faults config.Errors
		locked *spool.LockedError
		answer *admin.Error

		address *net.AddrError
		name    *net.DNSError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &faults):
		return exitConfig
	case errors.As(err, &data):
		return exitData
	case errors.Is(err, queue.ErrDamaged):
		return exitData
	case errors.As(err, &locked):
		return exitTemporary
	case errors.Is(err, admin.ErrNoDaemon), errors.Is(err, syscall.EADDRINUSE), errors.Is(err, syscall.EADDRNOTAVAIL):
		return exitUnavailable
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return exitPermission
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.EISDIR), errors.Is(err, fs.ErrExist):
		return exitConfig // something else stands in the place of a file or directory of ours
	case errors.As(err, &name) && !name.IsNotFound:
		return exitTemporary
	case errors.Is(err, fs.ErrNotExist), errors.As(err, &address), errors.As(err, &name):
		return exitConfig // the directory, the address or the name of a listener
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EIO), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return exitTemporary
	case errors.As(err, &answer):
		return exitCodeOf[answer.Kind]
	}
	return exitSoftware
}
