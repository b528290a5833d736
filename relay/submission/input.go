package submission

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
)

// inputSize is the read buffer of a session, in octets: one TLS record, and
// longer than the longest line there may be (RFC 4954 4: 12288 for AUTH).
const inputSize = 16 << 10

var inputBuffers = sync.Pool{New: func() any { return new([inputSize]byte) }}

var (
	errLineTooLong  = errors.New("line too long")
	errBareLF       = errors.New("line ends in a bare LF")
	errNeedMore     = errors.New("no whole line yet")
	errDisconnected = errors.New("client closed the connection")
)

// input is what the client has sent and nobody has looked at yet. An error of
// the connection sticks: whoever reads on after a timeout, in whatever phase,
// gets the same error again.
type input struct {
	conn    net.Conn
	array   *[inputSize]byte // nil after release
	r, w    int              // array[r:w] is unread
	err     error
	discard bool // the rest of a line that was too long is thrown away
}

func (in *input) init(conn net.Conn) {
	in.conn = conn
	in.array = inputBuffers.Get().(*[inputSize]byte)
}

// release gives the buffer back. Nothing may use the input afterwards.
func (in *input) release() {
	if in.array != nil {
		inputBuffers.Put(in.array)
		in.array, in.r, in.w = nil, 0, 0
	}
	if in.err == nil {
		in.err = net.ErrClosed
	}
}

// restart forgets what was received, and reads from conn from now on.
func (in *input) restart(conn net.Conn) {
	in.conn, in.r, in.w, in.discard = conn, 0, 0, false
}

// unread returns what is buffered. It is valid until the next fill.
func (in *input) unread() []byte { return in.array[in.r:in.w] }

func (in *input) consume(n int) { in.r += n }

// fill reads more from the connection, and moves what is unread.
func (in *input) fill() error {
	if in.err != nil {
		return in.err
	}
	if in.r > 0 {
		in.w = copy(in.array[:], in.array[in.r:in.w])
		in.r = 0
	}
	n, err := in.conn.Read(in.array[in.w:])
	in.w += n
	if err == io.EOF {
		err = errDisconnected // io.EOF is for content that has come to its end
	}
	in.err = err
	if n > 0 {
		return nil
	}
	return err
}

// line takes a line that is buffered whole, without its CR LF. The error is
// errNeedMore if there is none yet, errBareLF if there is none but a bare LF, and
// errLineTooLong, once the whole of it has been thrown away.
func (in *input) line() ([]byte, error) {
	b := in.unread()
	end := bytes.Index(b, crlf)
	switch {
	case end >= 0:
		in.r += end + 2
		if in.discard {
			in.discard = false
			return nil, errLineTooLong
		}
		return b[:end], nil
	case in.discard || len(b) == inputSize:
		in.discard = true
		in.r = in.w
		if len(b) > 0 && b[len(b)-1] == '\r' {
			in.r-- // perhaps the beginning of its end
		}
		return nil, errNeedMore
	case bytes.IndexByte(b, '\n') >= 0:
		return nil, errBareLF
	}
	return nil, errNeedMore
}

var crlf = []byte("\r\n")
