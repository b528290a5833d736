package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// LockedError says that another process has the spool open.
type LockedError struct {
	Dir string
	// PID, Host and Since are those of the holder, as far as it could leave
	// them: zero if it could not.
	PID   int
	Host  string
	Since time.Time
}

// Error names the directory and its holder.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("the spool %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("the spool %s is in use by process %d on %s since %s", e.Dir, e.PID, e.Host, e.Since.Format(time.RFC3339))
}

// The lock is a file of its own and must not be opened for anything else: an
// fcntl lock ends when its process closes any descriptor of the file. It ends
// with the process, so that kill -9 leaves none behind.
const (
	lockName   = "LOCK"
	holderName = "holder"
)

// acquire locks dir, or returns a *LockedError.
func acquire(fs vfs.FS, dir string) (io.Closer, error) {
	lock, err := fs.Lock(fs.PathJoin(dir, lockName))
	if err != nil {
		if isLocked(err) {
			return nil, readHolder(fs, dir)
		}
		return nil, wrap("locking the spool", err)
	}
	writeHolder(fs, dir)
	return lock, nil
}

// isLocked tells a lock that is held from one that could not be tried: fcntl's
// bare errno, or Pebble's word for a lock of this very process. A lock file
// that can't be opened comes as a PathError instead.
func isLocked(err error) bool {
	var path *os.PathError
	if errors.As(err, &path) {
		return false
	}
	return errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) ||
		strings.Contains(err.Error(), "lock held by current process")
}

// writeHolder leaves "pid host since" for those who find the lock held. It need
// not survive a crash and is not synced. On a full disk there is none: the reserve is
// not at hand yet.
func writeHolder(fs vfs.FS, dir string) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	name := fs.PathJoin(dir, holderName)
	_ = fs.Remove(name) // not to name who held it before
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return
	}
	_, _ = f.Write(fmt.Appendf(nil, "%d %s %s\n", os.Getpid(), host, time.Now().UTC().Format(time.RFC3339)))
	_ = f.Close()
}

func readHolder(fs vfs.FS, dir string) error {
	locked := &LockedError{Dir: dir}
	f, err := fs.Open(fs.PathJoin(dir, holderName))
	if err != nil {
		return locked
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	fields := strings.Fields(string(text))
	if err != nil || len(fields) != 3 {
		return locked
	}
	locked.PID, _ = strconv.Atoi(fields[0])
	locked.Host = fields[1]
	locked.Since, _ = time.Parse(time.RFC3339, fields[2])
	return locked
}
