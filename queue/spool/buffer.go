package spool

import (
	"io"
	"os"
	"sync"
	"sync/atomic"
)

// buffer is memory for a content. It goes back to its pool when nobody uses it
// any more; users that forget to say so only cost an allocation.
type buffer struct {
	data []byte // its capacity is bufferSmall or bufferLarge
	refs atomic.Int32
}

// Sizes of buffers, in octets: a usual mail, and the largest small content.
const (
	bufferSmall = 16 << 10
	bufferLarge = smallContent
)

var smallBuffers, largeBuffers sync.Pool

// newBuffer returns an empty buffer for size octets with one user.
func newBuffer(size int) *buffer {
	pool, size := poolFor(size)
	b, ok := pool.Get().(*buffer)
	if !ok {
		b = &buffer{data: make([]byte, 0, size)}
	}
	b.refs.Store(1)
	return b
}

func poolFor(size int) (*sync.Pool, int) {
	if size <= bufferSmall {
		return &smallBuffers, bufferSmall
	}
	return &largeBuffers, bufferLarge
}

func (b *buffer) release() {
	if b.refs.Add(-1) > 0 {
		return
	}
	pool, _ := poolFor(cap(b.data))
	b.data = b.data[:0]
	pool.Put(b)
}

// append appends p, of which there is room for in a large buffer at least, and
// returns the buffer to go on with. Others see what they saw.
func (b *buffer) append(p []byte) *buffer {
	if len(b.data)+len(p) <= cap(b.data) {
		b.data = append(b.data, p...)
		return b
	}
	large := newBuffer(bufferLarge)
	large.data = append(append(large.data, b.data...), p...)
	b.release()
	return large
}

// empty returns a large buffer without content, the same if nobody else uses it.
func (b *buffer) empty() *buffer {
	if b.refs.Load() == 1 && cap(b.data) == bufferLarge {
		b.data = b.data[:0]
		return b
	}
	b.release()
	return newBuffer(bufferLarge)
}

// content returns what is in b now.
func (b *buffer) content() *memoryContent {
	b.refs.Add(1)
	return &memoryContent{buf: b, data: b.data}
}

// memoryContent is a small content. Several goroutines may read it at once, as a
// message's deliveries do, but none while it is closed.
type memoryContent struct {
	buf  *buffer
	data []byte
}

// ReadAt implements io.ReaderAt.
func (c *memoryContent) ReadAt(p []byte, off int64) (int, error) {
	if c.buf == nil {
		return 0, os.ErrClosed
	}
	if off < 0 || off >= int64(len(c.data)) {
		return 0, io.EOF
	}
	n := copy(p, c.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Size returns the octets there are to read.
func (c *memoryContent) Size() int64 { return int64(len(c.data)) }

// Close gives the memory back.
func (c *memoryContent) Close() error {
	if c.buf == nil {
		return os.ErrClosed
	}
	c.buf.release()
	c.buf = nil
	return nil
}
