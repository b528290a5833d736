package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrNoUser is returned for a user who is not in the file.
var ErrNoUser = errors.New("no such user")

// AddUser gives the user a password in the users file at path: a new line at its
// end, or new verifiers on the line that is there: a bcrypt hash, and with scram one
// for SCRAM-SHA-256 too. A file that does not exist is made, with mode 0600.
// Everything else in the file stays as it is.
func AddUser(path, name, password string, scram bool) error {
	return addUser(path, name, password, bcryptCost, scram)
}

func addUser(path, name, password string, cost int, scram bool) error {
	if err := checkUserName(name); err != nil {
		return err
	}
	if err := checkPassword(password); err != nil {
		return err
	}
	v, err := newBcrypt(password, cost)
	if err != nil {
		return err
	}
	line := name + ":" + v.String()
	if scram {
		s, err := newScramVerifier(password)
		if err != nil {
			return err
		}
		line += " " + s.String()
	}
	return editUsers(path, true, func(lines []string) ([]string, error) {
		for i, l := range lines {
			if nameOfLine(l) == name {
				lines[i] = line
				return lines, nil
			}
		}
		return append(lines, line), nil
	})
}

// checkPassword refuses what some mechanism could never transmit.
func checkPassword(password string) error {
	switch {
	case password == "":
		return errors.New("empty password")
	case strings.ContainsAny(password, "\x00\r\n"):
		return errors.New("password holds a line break or NUL")
	}
	return nil
}

// RemoveUser takes the user's line out of the file. It returns ErrNoUser, with
// the name, if there is none.
func RemoveUser(path, name string) error {
	return editUsers(path, false, func(lines []string) ([]string, error) {
		for i, l := range lines {
			if nameOfLine(l) == name {
				return append(lines[:i], lines[i+1:]...), nil
			}
		}
		return nil, fmt.Errorf("%s: %w: %q", path, ErrNoUser, name)
	})
}

// ListUsers returns the names in the file, in its order.
func ListUsers(path string) ([]string, error) {
	u, err := LoadUsers(path)
	if err != nil {
		return nil, err
	}
	return u.Names(), nil
}

// nameOfLine returns the user a line is about, "" for a comment.
func nameOfLine(line string) string {
	name, c, err := parseUserLine(line)
	if err != nil || c == nil {
		return ""
	}
	return name
}

// editUsers rewrites the file by way of a temporary one beside it: synced before
// it takes the old one's name, and the directory after, so that a crash leaves
// the old file or the new one. A lock on the directory keeps two editors apart.
// A file with errors is refused, and so is an edit that would make some.
func editUsers(path string, create bool, edit func([]string) ([]string, error)) error {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) && create {
		target, err = path, nil
	}
	if err != nil {
		return fmt.Errorf("users file: %w", err)
	}
	dir, err := os.Open(filepath.Dir(target))
	if err != nil {
		return fmt.Errorf("users file: %w", err)
	}
	defer dir.Close() // and with it the lock
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir.Name(), err)
	}

	old, err := os.ReadFile(target)
	if err != nil && !(create && errors.Is(err, fs.ErrNotExist)) {
		return fmt.Errorf("users file: %w", err)
	}
	if _, err := readUsers(path, bytes.NewReader(old)); err != nil {
		return err
	}
	var lines []string
	if text := strings.TrimSuffix(string(old), "\n"); text != "" {
		lines = strings.Split(text, "\n")
	}
	if lines, err = edit(lines); err != nil {
		return err
	}
	text := strings.Join(lines, "\n")
	if text != "" {
		text += "\n"
	}
	if _, err := readUsers(path, strings.NewReader(text)); err != nil {
		return err
	}
	return replaceFile(target, dir, []byte(text))
}

// replaceFile puts content in the place of the file at path in dir. The new
// file is for the same eyes as the old one, but for nobody else's.
func replaceFile(path string, dir *os.File, content []byte) (err error) {
	f, err := os.CreateTemp(dir.Name(), ".users-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write users file: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("write users file: %w", err)
		}
	}()
	if err := inherit(f, path, dir); err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return dir.Sync()
}

// inherit gives f the owner, the group and the group's right to read of the
// file it replaces; a first file has the directory's owner. Only root can and
// need do so: it edits the file of a daemon that runs as somebody else.
func inherit(f *os.File, path string, dir *os.File) error {
	info, err := os.Stat(path)
	mode := fs.FileMode(0o600)
	if err == nil {
		mode |= info.Mode() & 0o040
	} else if info, err = dir.Stat(); err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	return f.Chmod(mode)
}
