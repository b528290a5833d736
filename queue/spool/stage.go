package spool

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/oklog/ulid/v2"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// castagnoli is CRC-32C, which processors compute by themselves.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stagePrefix begins the names of content files that no message has yet. Those
// that are there at Open are of a crash.
const stagePrefix = "stage-"

var errDiscarded = errors.New("the content was discarded")

// stage receives one content: in memory, or once it is larger than
// smallContent in a file.
type stage struct {
	spool *Spool

	// mu guards what follows; a stage is written by one goroutine, but its
	// content may be read by others.
	mu   sync.Mutex
	size int64
	err  error // why it can't go on
	// buf is the content, or what is not yet written to file. It is nil
	// after Discard.
	buf  *buffer
	file vfs.File // nil for a small content, and after publish
	path string   // of file
	sum  uint32   // CRC-32C of everything so far
	// done: a message has it.
	done bool
}

// Stage opens a place for the content of a message to come.
func (s *Spool) Stage() (queue.Stage, error) {
	if _, err := s.use(); err != nil {
		return nil, err
	}
	s.mu.RUnlock()
	return &stage{spool: s, buf: newBuffer(bufferSmall)}, nil
}

// Write appends p. After an error the stage can only be discarded.
func (st *stage) Write(p []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.buf == nil || st.done {
		return 0, errDiscarded
	}
	if st.err == nil {
		st.err = wrap("storing content", st.write(p))
	}
	if st.err != nil {
		return 0, st.err
	}
	return len(p), nil
}

func (st *stage) write(p []byte) error {
	if st.path == "" && st.size+int64(len(p)) > smallContent {
		if err := st.spill(); err != nil {
			return err
		}
	}
	st.size += int64(len(p))
	if st.path == "" {
		st.buf = st.buf.append(p)
		return nil
	}
	st.sum = crc32.Update(st.sum, castagnoli, p)
	for len(p) > 0 {
		n := min(len(p), bufferLarge-len(st.buf.data))
		st.buf = st.buf.append(p[:n])
		p = p[n:]
		if len(st.buf.data) == bufferLarge {
			if err := st.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// spill goes on in a file. What is in memory so far is its beginning.
func (st *stage) spill() error {
	fs := st.spool.fs
	path := fs.PathJoin(st.spool.dir, contentName, stagePrefix+strings.ToLower(ulid.Make().String()))
	file, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	st.file, st.path = file, path
	st.sum = crc32.Checksum(st.buf.data, castagnoli)
	return st.flush()
}

// flush writes out what is in memory.
func (st *stage) flush() error {
	if len(st.buf.data) == 0 {
		return nil
	}
	if _, err := st.file.Write(st.buf.data); err != nil {
		return err
	}
	st.buf = st.buf.empty()
	return nil
}

// Size returns the octets written so far.
func (st *stage) Size() int64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.size
}

// Content opens what has been written so far.
func (st *stage) Content() (queue.Content, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.buf == nil {
		return nil, errDiscarded
	}
	if st.err != nil {
		return nil, st.err
	}
	if st.path == "" {
		return st.buf.content(), nil
	}
	if st.file != nil {
		if err := st.flush(); err != nil {
			st.err = wrap("storing content", err)
			return nil, st.err
		}
	}
	file, err := st.spool.fs.Open(st.path)
	if err != nil {
		return nil, wrap("reading content", err)
	}
	return &fileContent{file: file, want: fileRecord{st.size, st.sum}, name: st.path, spool: st.spool}, nil
}

// publish gives a content that lies in a file the name of its message, with
// everything synced but the directory. It reports whether there is a file.
func (st *stage) publish(id mail.ID) (file bool, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.err != nil:
		return false, st.err
	case st.buf == nil || st.done:
		return false, errDiscarded
	case st.path == "":
		return false, nil
	case st.file == nil:
		return false, fmt.Errorf("%s was committed before", st.path)
	}
	st.err = st.flush()
	if st.err == nil {
		st.err = st.file.Sync()
	}
	st.err = errors.Join(st.err, st.file.Close())
	st.file = nil
	if st.err != nil {
		return false, st.err
	}
	path := st.spool.contentPath(id)
	if err := st.spool.fs.Rename(st.path, path); err != nil {
		st.err = err
		return false, err
	}
	st.path = path
	return true, nil
}

// record describes the file.
func (st *stage) record() fileRecord {
	st.mu.Lock()
	defer st.mu.Unlock()
	return fileRecord{st.size, st.sum}
}

// small returns a content that is in memory.
func (st *stage) small() ([]byte, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.buf == nil {
		return nil, errDiscarded
	}
	return st.buf.data, nil
}

// committed says that the content belongs to a message now.
func (st *stage) committed() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.done = true
}

// Discard frees everything. After a successful Commit the content stays.
func (st *stage) Discard() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.buf == nil {
		return
	}
	st.buf.release()
	st.buf = nil
	if st.file != nil {
		_ = st.file.Close() // what it holds is not wanted
		st.file = nil
	}
	if st.path != "" && !st.done {
		// If it stays, the next Open sweeps it.
		_ = st.spool.fs.Remove(st.path)
	}
}
