package eventlog

import (
	"io"
	"sync"
	"time"
)

const (
	// maxBuffered is how much may wait for a reader of stderr that has stopped
	// reading, in octets.
	maxBuffered = 4 << 20
	// keepBuffer is the largest buffer that is kept for reuse, in octets.
	keepBuffer = 256 << 10
	// closeTimeout bounds how long Close waits for a reader that has stopped.
	closeTimeout = 2 * time.Second
)

// writer passes lines to w from a goroutine of its own. Lines that arrive while
// it writes go out together in the next write.
type writer struct {
	w    io.Writer
	wake chan struct{} // holds one
	done chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex // guards what follows
	pending []byte
	dropped int // lines that found no room since the last write
	closed  bool
}

// start begins writing to w; close ends it. lost makes the line that tells how
// many lines found no room.
func start(w io.Writer, lost func(b []byte, lines int) []byte) *writer {
	out := &writer{w: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go out.run(lost)
	return out
}

// put hands over one line. It never blocks for w.
func (o *writer) put(line []byte) {
	o.mu.Lock()
	waiting := len(o.pending) > 0 // then the goroutine has been told
	switch {
	case o.closed:
	case len(o.pending)+len(line) > maxBuffered:
		o.dropped++
	default:
		o.pending = append(o.pending, line...)
	}
	o.mu.Unlock()
	if waiting {
		return
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *writer) run(lost func([]byte, int) []byte) {
	defer close(o.done)
	var spare []byte
	for range o.wake {
		for {
			o.mu.Lock()
			batch, dropped, closed := o.pending, o.dropped, o.closed
			o.pending, o.dropped = spare[:0], 0
			o.mu.Unlock()
			if dropped > 0 {
				batch = lost(batch, dropped)
			}
			if len(batch) == 0 {
				spare = batch
				if closed {
					return
				}
				break
			}
			_, _ = o.w.Write(batch) // nobody is left to tell
			if spare = batch; cap(spare) > keepBuffer {
				spare = nil
			}
		}
	}
}

// close writes what is left and ends the goroutine. It may be called again. If w
// takes nothing for closeTimeout, the goroutine is left to its write.
func (o *writer) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	select {
	case <-o.done:
	case <-timeout.C:
	}
}
