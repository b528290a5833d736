package delivery

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// lookAgain is how old knowledge about a file may be before it is looked at
// again: a new password is in force after this time.
const lookAgain = time.Second

// maxSecretFile bounds what is read of a password or CA file, in octets.
const maxSecretFile = 4 << 20

// files keeps the content of password and CA files and reads them again when
// they have changed, so that a corrected secret needs no restart.
type files struct {
	mu   sync.Mutex // guards seen
	seen map[string]*file
}

// file is one version of a file's content. Its address is its version.
type file struct {
	content []byte
	looked  time.Time
	changed time.Time
	size    int64
}

// read returns the present content of path. The value is shared: not to be
// changed.
func (f *files) read(path string) (*file, error) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.seen[path]
	if known != nil && now.Sub(known.looked) < lookAgain {
		return known, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if known != nil && info.ModTime().Equal(known.changed) && info.Size() == known.size {
		known.looked = now
		return known, nil
	}
	if info.Size() > maxSecretFile {
		return nil, fmt.Errorf("%s: larger than %d octets", path, maxSecretFile)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if f.seen == nil {
		f.seen = make(map[string]*file)
	}
	fresh := &file{content: content, looked: now, changed: info.ModTime(), size: info.Size()}
	f.seen[path] = fresh
	return fresh, nil
}

// secret returns a password file's password: its content without the line end.
func (f *files) secret(path string) (string, error) {
	x, err := f.read(path)
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(x.content), "\r\n"), nil
}

// forget has every file looked at again when it is needed next.
func (f *files) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.seen {
		x.looked = time.Time{}
	}
}
