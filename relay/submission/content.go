package submission

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// source gives the content of a message in pieces. A piece is valid until the
// next call. io.EOF means that the content is complete, or that the client is
// waiting to hear that it was refused; any other error that it never will be
// complete.
type source interface {
	next(refused bool) ([]byte, error)
}

// contentClock bounds the time content may take: each block of it, and all.
type contentClock struct {
	s   *session
	end time.Time // zero: no bound
}

func (s *session) contentClock() contentClock {
	c := contentClock{s: s}
	if limit := s.set.limits.MessageTimeout; limit > 0 {
		c.end = time.Now().Add(limit)
	}
	return c
}

// fill waits for more content.
func (c *contentClock) fill() error {
	deadline := time.Now().Add(c.s.set.limits.DataTimeout)
	if !c.end.IsZero() && c.end.Before(deadline) {
		deadline = c.end
	}
	return c.s.fill(deadline)
}

// dotSource reads content as DATA sends it: up to CR LF . CR LF and nothing
// else, with the dots removed that were added to lines beginning with one (RFC
// 5321 4.5.2). Only CR LF begins a line.
type dotSource struct {
	in        *input
	clock     contentClock
	midLine   bool // false at the beginning of a line
	completed bool
}

var lineDot = []byte("\r\n.")

func (d *dotSource) next(bool) ([]byte, error) {
	for !d.completed {
		b := d.in.unread()
		if !d.midLine {
			if bytes.HasPrefix(endOfData, b) {
				if len(b) < len(endOfData) { // too short to tell, or empty
					if err := d.clock.fill(); err != nil {
						return nil, err
					}
					continue
				}
			}
			if bytes.HasPrefix(b, endOfData) {
				d.in.consume(len(endOfData))
				d.completed = true
				break
			}
			if b[0] == '.' {
				d.in.consume(1)
				b = b[1:]
			}
			d.midLine = true
		}
		if n := d.piece(b); n > 0 {
			d.in.consume(n)
			return b[:n:n], nil
		}
		if err := d.clock.fill(); err != nil {
			return nil, err
		}
	}
	return nil, io.EOF
}

// endOfData is what ends DATA at the beginning of a line.
var endOfData = []byte(".\r\n")

// piece returns how much of b can go on, and notes whether a line begins behind
// it. A CR at the end waits for what follows it.
func (d *dotSource) piece(b []byte) int {
	if i := bytes.Index(b, lineDot); i >= 0 {
		d.midLine = false
		return i + 2
	}
	switch {
	case bytes.HasSuffix(b, crlf):
		d.midLine = false
	case bytes.HasSuffix(b, crlf[:1]):
		return len(b) - 1
	}
	return len(b)
}

// dataCommand checks DATA and passes it on. A place in the queue is opened
// before the client is asked for content, so that a full queue costs nobody a
// transfer.
func (s *session) dataCommand(arg string) string {
	if arg != "" {
		s.refuse(replyNoArguments)
	} else if s.mayTakeContent() {
		s.out.expect(answerGoAhead)
		s.out.expect(answerAsItIs)
		return "DATA\r\n"
	}
	// DATA ends a group of commands (RFC 2920 3.1). Who has sent more did not
	// wait to be asked for content, and content must not be run as commands.
	if len(s.in.unread()) > 0 && !s.ended {
		s.expel(replyPipelinedContent)
	}
	return ""
}

// mayTakeContent checks that content may come now and opens a place for it; it
// answers if not.
func (s *session) mayTakeContent() bool {
	switch {
	case s.tx == nil:
		s.refuse(s.missing(replyMailFirst))
	case len(s.tx.envelope.Recipients) == 0 && s.tx.tried > 0:
		s.refuse(replyNoValidRcpt)
	case len(s.tx.envelope.Recipients) == 0:
		s.refuse(replyRcptFirst)
	default:
		incoming, err := s.srv.opt.Queue.Receive(s.srv.ctx)
		if err == nil {
			s.tx.incoming = incoming
			return true
		}
		s.out.reply(s.refusal(storing(err), "DATA", &s.tx.envelope.From, addresses(s.tx.envelope.Recipients)))
	}
	return false
}

// Data takes the content of the transaction, past the engine, whose own reader
// finds an end of data and nothing before it. The error is the reply, also a
// good one: the engine sends it word for word.
func (s *session) Data(io.Reader) (err error) {
	defer s.caught(&err)
	s.toEngine = ".\r\n"
	if s.chunks != nil {
		return engineError(s.take(s.chunks))
	}
	return engineError(s.take(&dotSource{in: &s.in, clock: s.contentClock()}))
}

// take receives the content of the transaction from src into the queue and
// returns the reply.
func (s *session) take(src source) mail.Reply {
	k := newIntake(s)
	defer k.release()
	to := addresses(s.tx.envelope.Recipients)
	for {
		piece, err := src.next(k.refused != nil)
		if err == io.EOF {
			break
		}
		if err == errChunksAborted {
			return replyConnectionLost // nobody reads it
		}
		if err != nil {
			return s.refusal(&mail.Error{Reply: cutOff(err), Cause: err}, "DATA", &s.tx.envelope.From, to)
		}
		k.write(piece)
	}
	id, err := k.finish()
	if err != nil {
		s.wasted(wasteNothing)
		return s.refusal(err, "DATA", &s.tx.envelope.From, to)
	}
	s.waste = 0
	return reply(250, mail.EnhancedCode{2, 0, 0}, "queued as "+id.String())
}

// cutOff returns what answers content that stopped before its end. The session
// ends with it: what comes later can't be told from commands.
func cutOff(err error) mail.Reply {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return replyTimeout
	}
	return replyConnectionLost
}

func addresses(rcpts []mail.Recipient) []mail.Address {
	a := make([]mail.Address, len(rcpts))
	for i, r := range rcpts {
		a[i] = r.Address
	}
	return a
}

// storing turns an error of the queue into what the client is told.
func storing(err error) error {
	var e *mail.Error
	if errors.As(err, &e) {
		return err
	}
	return errNotStored.Because(err)
}
