package submission

import (
	"bytes"
	"net"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// outputLimit is how many octets of replies wait for each other before they are
// sent without need.
const outputLimit = 8 << 10

// output collects replies, so that the answers to pipelined commands leave in
// one write. It also says in our words what go-smtp says in its own.
type output struct {
	conn    net.Conn
	timeout time.Duration
	buf     []byte
	line    []byte // what the engine has written of a line
	err     error  // sticks
	// last is the code of the last reply.
	last int
	// answers stand for the engine's next replies, in order.
	answers []answer
}

// answer is what the client gets in place of a reply of the engine.
type answer struct {
	text string
	// always: also if the engine refuses. Otherwise a refusal, which is what
	// our session told the engine, goes out as it is.
	always bool
	// asItIs: whatever the engine says goes out.
	asItIs bool
}

// reply queues a reply of ours.
func (o *output) reply(r mail.Reply) {
	o.buf = appendReply(o.buf, r)
	o.last = r.Code
	if len(o.buf) > outputLimit {
		_ = o.flush()
	}
}

// expect says what replaces the engine's next reply.
func (o *output) expect(a answer) { o.answers = append(o.answers, a) }

// engine takes what the engine writes: one line, or a piece of one that is longer than
// its buffer.
func (o *output) engine(p []byte) error {
	o.line = append(o.line, p...)
	if !bytes.HasSuffix(o.line, crlf) {
		return o.err
	}
	line := o.line
	o.line = o.line[:0]
	if len(line) < 4 || line[3] == '-' {
		return o.err // the beginning of its EHLO answer; ours comes with the last line
	}
	code := int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	a := answerAsItIs
	if code != 334 && len(o.answers) > 0 {
		a = o.answers[0]
		o.answers = append(o.answers[:0], o.answers[1:]...)
	}
	switch {
	case a.asItIs, code >= 400 && !a.always:
		o.buf = append(o.buf, line...)
		o.last = code
	case a.text != "":
		o.buf = append(o.buf, a.text...)
		o.last = int(a.text[0]-'0')*100 + int(a.text[1]-'0')*10 + int(a.text[2]-'0')
	}
	if len(o.buf) > outputLimit {
		return o.flush()
	}
	return o.err
}

// flush sends what waits.
func (o *output) flush() error {
	if len(o.buf) == 0 || o.err != nil {
		return o.err
	}
	_ = o.conn.SetWriteDeadline(time.Now().Add(o.timeout))
	_, o.err = o.conn.Write(o.buf)
	o.buf = o.buf[:0]
	return o.err
}
