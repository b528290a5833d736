package delivery

import (
	"bytes"
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// wire is the connection below a session: bounded replies in, commands and
// content out, a deadline on each. It belongs to one goroutine at a time.
type wire struct {
	conn net.Conn
	// ctx is that of the attempt the wire works for; its end ends every wait.
	ctx  context.Context
	in   [maxReplyLine]byte
	r, w int // in[r:w] has been read from conn and not yet used
	// out holds what has not been sent yet. It is borrowed from outPool while a
	// transaction runs.
	out *[]byte
	// limit is how long one write may take; until, unless it is zero, ends them all,
	// and all reading.
	limit time.Duration
	until time.Time
}

// outSize is that of the buffer in front of a connection: large enough for the
// commands and the content of most messages to leave in one write.
const outSize = 64 << 10

var outPool = sync.Pool{New: func() any {
	b := make([]byte, 0, outSize)
	return &b
}}

// bind makes ctx the one whose end ends all reading and writing at once. The
// function it returns gives the wire free again and says whether it is unharmed.
func (w *wire) bind(ctx context.Context) (release func() bool) {
	w.ctx = ctx
	w.out = outPool.Get().(*[]byte)
	conn := w.conn // not the one a handshake may put in its place meanwhile
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return func() bool {
		*w.out = (*w.out)[:0]
		outPool.Put(w.out)
		w.out = nil
		return stop()
	}
}

// expire sets a deadline d from now, or until if that is sooner. The second look at
// ctx closes the gap in which the deadline set by bind would be overwritten.
func (w *wire) expire(set func(time.Time) error, d time.Duration) error {
	deadline := time.Now().Add(d)
	if !w.until.IsZero() && w.until.Before(deadline) {
		deadline = w.until
	}
	if err := set(deadline); err != nil {
		return err
	}
	return context.Cause(w.ctx)
}

// reply reads one reply, which must be complete within d.
func (w *wire) reply(d time.Duration) (mail.Reply, error) {
	var p replyParser
	waiting := false
	for {
		line, err := w.line(&waiting, d)
		if err != nil {
			return mail.Reply{}, err
		}
		last, err := p.line(line)
		if err != nil {
			return mail.Reply{}, err
		}
		if last {
			return p.reply(), nil
		}
	}
}

// line returns the next line without its end; it is valid until the next call.
// A bare LF ends it too: what a server says is no place for smuggling. The
// deadline is set once for all lines of a reply, and only if there is a wait.
func (w *wire) line(waiting *bool, d time.Duration) ([]byte, error) {
	from := w.r
	for {
		if i := bytes.IndexByte(w.in[from:w.w], '\n'); i >= 0 {
			line := w.in[w.r : from+i]
			w.r = from + i + 1
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		if w.r > 0 {
			w.w = copy(w.in[:], w.in[w.r:w.w])
			w.r = 0
		}
		if w.w == len(w.in) {
			return nil, errReplyLine
		}
		if !*waiting {
			*waiting = true
			if err := w.expire(w.conn.SetReadDeadline, d); err != nil {
				return nil, err
			}
		}
		from = w.w
		n, err := w.conn.Read(w.in[w.w:])
		w.w += n
		if err != nil && n == 0 {
			return nil, err
		}
	}
}

// buffered reports whether the peer has said more than was asked for.
func (w *wire) buffered() bool { return w.r < w.w }

// surplus reports whether that is something else than 421, which a host may say at
// any time (RFC 5321 3.8) and which is read in its turn.
func (w *wire) surplus() bool {
	return w.buffered() && !bytes.HasPrefix(w.in[w.r:w.w], []byte("421"))
}

// contradicts reports whether the surplus is a reply of another sort than r.
func (w *wire) contradicts(r mail.Reply) bool {
	sort := w.in[w.r]
	return strings.IndexByte("245", sort) >= 0 && sort != '0'+byte(r.Code/100)
}

// put appends to what is to be sent, sending what there is no room for.
func (w *wire) put(s string) error {
	if len(*w.out)+len(s) > cap(*w.out) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	*w.out = append(*w.out, s...)
	return nil
}

// flush sends what has been put.
func (w *wire) flush() error {
	b := *w.out
	*w.out = b[:0]
	if len(b) == 0 {
		return nil
	}
	return w.write(b)
}

func (w *wire) write(b []byte) error {
	if err := w.expire(w.conn.SetWriteDeadline, w.limit); err != nil {
		return err
	}
	_, err := w.conn.Write(b)
	return err
}

// command sends one line and reads its reply within d.
func (w *wire) command(line string, d time.Duration) (mail.Reply, error) {
	if err := w.put(line + "\r\n"); err != nil {
		return mail.Reply{}, err
	}
	if err := w.flush(); err != nil {
		return mail.Reply{}, err
	}
	return w.reply(d)
}
