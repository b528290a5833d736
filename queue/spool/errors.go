package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/queue"
)

// errClosed is returned after Close.
var errClosed = errors.New("the spool is closed")

// wrap says what was being done, and marks errors that mean a lack of space or
// stored data that can't be read, so that errors.Is finds them.
func wrap(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, queue.ErrNoSpace) || errors.Is(err, queue.ErrDamaged) || errors.Is(err, queue.ErrNotFound):
		return fmt.Errorf("%s: %w", doing, err)
	case isNoSpace(err):
		return fmt.Errorf("%s: %w: %w", doing, queue.ErrNoSpace, err)
	case isDamage(err):
		return fmt.Errorf("%s: %w: %w", doing, queue.ErrDamaged, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// isDamage reports whether err says that something stored can't be read.
func isDamage(err error) bool {
	return pebble.IsCorruptionError(err) || errors.Is(err, queue.ErrDamaged)
}

// undecodable reports whether err says that something was read which makes no sense.
func undecodable(err error) bool { return errors.Is(err, errValue) || errors.Is(err, errKey) }

// isNoSpace reports whether err says that nothing more can be written: the disk
// is full, a quota is reached, or the file system is read-only.
func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
