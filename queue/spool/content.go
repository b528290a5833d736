package spool

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// newSum returns the checksum of content files.
func newSum() hash.Hash32 { return crc32.New(castagnoli) }

func (s *Spool) contentPath(id mail.ID) string {
	return s.fs.PathJoin(s.dir, contentName, id.String())
}

// unlink removes a content file. One that stays is swept at the next Open.
func (s *Spool) unlink(id mail.ID) {
	if err := s.fs.Remove(s.contentPath(id)); err != nil && !isNotExist(err) {
		s.log.Warn("a content file could not be removed", "event", "queue_orphan", "id", id, "err", err)
	}
}

// Content opens the content of a message. It stays readable until it is closed,
// also if the message ends before.
func (s *Spool) Content(_ context.Context, id mail.ID) (queue.Content, error) {
	g, err := s.use()
	if err != nil {
		return nil, err
	}
	defer s.mu.RUnlock()
	value, closer, err := g.db.Get(appendIDKey(nil, tableContent, id))
	if errors.Is(err, pebble.ErrNotFound) {
		return s.openFile(g, id)
	}
	if err != nil {
		return nil, wrap("reading the content of "+id.String(), err)
	}
	b := newBuffer(len(value)).append(value)
	defer b.release()
	if err := closer.Close(); err != nil { // see get
		return nil, wrap("reading the content of "+id.String(), err)
	}
	return b.content(), nil
}

func (s *Spool) openFile(g *generation, id mail.ID) (queue.Content, error) {
	doing := "reading the content of " + id.String()
	value, err := get(g.db, appendIDKey(nil, tableFile, id))
	if errors.Is(err, queue.ErrNotFound) {
		if _, err := readMessage(g.db, id); err != nil {
			return nil, wrap(doing, err)
		}
		return nil, wrap(doing, s.damaged(queue.Damage{Message: id, Where: "content", What: "missing", Remedy: remedyContent}))
	}
	if err != nil {
		return nil, wrap(doing, err)
	}
	want, err := decodeFile(value)
	if err != nil {
		return nil, wrap(doing, s.damaged(queue.Damage{Message: id, Where: "file record", What: err.Error(), Remedy: remedyContent}))
	}
	path := s.contentPath(id)
	file, err := s.fs.Open(path)
	if isNotExist(err) {
		return nil, wrap(doing, s.damaged(queue.Damage{Message: id, Where: path, What: "missing", Remedy: remedyContent}))
	}
	if err != nil {
		return nil, wrap(doing, err)
	}
	return &fileContent{file: file, want: want, name: path, id: id, spool: s}, nil
}

// fileContent is a content that lies in a file. Reading it from the beginning to
// the end checks its sum: the read that returns its last octets fails if they
// are not what was accepted, so that nobody ends a transfer with them. Where several
// read at once, as a new message's deliveries may, they can escape the check.
type fileContent struct {
	file  vfs.File
	want  fileRecord
	name  string
	id    mail.ID // zero if no message has it yet
	spool *Spool

	// mu guards the sum of what was read in order so far.
	mu   sync.Mutex
	next int64
	sum  uint32
}

// ReadAt implements io.ReaderAt.
func (c *fileContent) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= c.want.size {
		return 0, io.EOF
	}
	cut := int64(len(p)) > c.want.size-off
	if cut {
		p = p[:c.want.size-off]
	}
	n, err := c.file.ReadAt(p, off)
	if n == len(p) {
		err = c.check(p, off)
	} else if errors.Is(err, io.EOF) {
		err = c.damaged(fmt.Sprintf("%d octets instead of %d", off+int64(n), c.want.size))
	}
	if err != nil {
		return 0, wrap("reading "+c.name, err)
	}
	if cut {
		return n, io.EOF
	}
	return n, nil
}

func (c *fileContent) check(p []byte, off int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if off == 0 {
		c.next, c.sum = 0, 0
	}
	if off != c.next {
		return nil
	}
	c.next += int64(len(p))
	c.sum = crc32.Update(c.sum, castagnoli, p)
	if c.next == c.want.size && c.sum != c.want.sum {
		return c.damaged("its checksum is wrong")
	}
	return nil
}

func (c *fileContent) damaged(what string) error {
	return c.spool.damaged(queue.Damage{Message: c.id, Where: c.name, What: what, Remedy: remedyContent})
}

// Size returns the octets there are to read.
func (c *fileContent) Size() int64 { return c.want.size }

// Close closes the file.
func (c *fileContent) Close() error { return c.file.Close() }
