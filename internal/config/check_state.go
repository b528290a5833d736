package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Bits of access(2), which the syscall package does not name.
const (
	mayWrite  = 2
	maySearch = 1
)

// stateDir checks that the state directory is one, or can be made. It makes
// nothing: a check must leave no trace.
func (k *checker) stateDir(dir string) {
	const key = "state_dir"
	if dir == "" {
		k.fault(key, "is empty; expected a directory for queue, socket and keys")
		return
	}
	if n := len(ControlSocket(dir)); n > maxSocketPath {
		k.fault(key, "makes a control socket's path of %d octets; the system takes at most %d, expected a shorter one", n, maxSocketPath)
		return
	}
	there := filepath.Clean(dir) // it, or the first directory above it that exists
	info, err := os.Stat(there)
	for errors.Is(err, fs.ErrNotExist) && there != filepath.Dir(there) {
		there = filepath.Dir(there)
		info, err = os.Stat(there)
	}
	made := there == filepath.Clean(dir)
	switch {
	case made && err == nil && !info.IsDir():
		k.fault(key, "%s is not a directory", dir)
		return
	case err == nil && !info.IsDir():
		err = syscall.ENOTDIR
	case err == nil && !k.loader.Bystander:
		err = syscall.Access(there, mayWrite|maySearch)
	}
	switch {
	case err == nil || k.loader.Bystander && errors.Is(err, fs.ErrPermission):
	case made:
		k.fault(key, "can't use %s: %s; expected a directory of the relay's own, named here or in POSTRIDER_STATE_DIR", dir, reason(err))
	default:
		k.fault(key, "can't make %s: %s: %s; expected a directory of the relay's own, named here or in POSTRIDER_STATE_DIR", dir, there, reason(err))
	}
}
