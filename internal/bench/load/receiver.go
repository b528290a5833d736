package load

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
)

// receiver is one connection of a Sink.
type receiver struct {
	sink   *Sink
	conn   net.Conn
	manner Manner
	r      *bufio.Reader
	w      *bufio.Writer
	chunk  *bufio.Reader // of BDAT, made when first needed

	recipients int // of the transaction, accepted
	asked      int // recipients of the connection
	finished   int // transactions of the connection
	number     int // of the message being received; -1: not seen
}

func newReceiver(s *Sink, conn net.Conn, manner Manner) *receiver {
	return &receiver{
		sink: s, conn: conn, manner: manner, number: -1,
		r: bufio.NewReaderSize(conn, 64<<10),
		w: bufio.NewWriterSize(conn, 4<<10),
	}
}

// errGone ends a session that the receiver has closed by a reply.
var errGone = errors.New("session over")

// serve answers commands until the client has gone. What comes pipelined is
// answered in one write.
func (c *receiver) serve() {
	if c.manner == Silent {
		io.Copy(io.Discard, c.conn)
		return
	}
	c.reply("220 sink.example ESMTP")
	for {
		if c.r.Buffered() == 0 && c.w.Flush() != nil {
			return
		}
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return
		}
		verb, argument, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		if c.obey(string(bytes.ToUpper(verb)), argument) != nil {
			c.w.Flush()
			return
		}
	}
}

func (c *receiver) reply(line string) {
	c.w.WriteString(line)
	c.w.WriteString("\r\n")
}

func (c *receiver) obey(verb string, argument []byte) error {
	switch verb {
	case "EHLO":
		c.reply("250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 104857600")
		if c.sink.Chunking {
			c.reply("250-CHUNKING")
		}
		c.reply("250 ENHANCEDSTATUSCODES")
	case "MAIL":
		if c.manner == Throttling && c.finished == 2 {
			c.reply("421 4.7.0 too many messages, come back later")
			return errGone
		}
		c.recipients = 0
		c.reply("250 2.1.0 ok")
	case "RCPT":
		c.rcpt()
	case "DATA":
		return c.data()
	case "BDAT":
		return c.bdat(argument)
	case "QUIT":
		c.reply("221 2.0.0 bye")
		return errGone
	default:
		c.reply("250 2.0.0 ok")
	}
	return nil
}

func (c *receiver) rcpt() {
	c.asked++
	if c.manner == Throttling && c.asked%2 == 0 {
		c.reply("451 4.7.1 try again later")
		return
	}
	c.recipients++
	c.reply("250 2.1.5 ok")
}

func (c *receiver) data() error {
	if c.recipients == 0 {
		c.reply("554 5.5.1 no valid recipients")
		return nil
	}
	c.reply("354 go on")
	if err := c.w.Flush(); err != nil {
		return err
	}
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if len(line) == 3 && line[0] == '.' {
			break
		}
		c.look(line)
	}
	c.finish()
	return nil
}

// bdat takes one chunk (RFC 3030). A header line split between two chunks is not
// recognised; no relay splits so early.
func (c *receiver) bdat(argument []byte) error {
	digits, last, _ := bytes.Cut(argument, []byte(" "))
	size, err := strconv.ParseInt(string(digits), 10, 64)
	if err != nil {
		c.reply("501 5.5.4 how many octets?")
		return errGone
	}
	content := io.LimitReader(c.r, size)
	if c.chunk == nil {
		c.chunk = bufio.NewReaderSize(content, 64<<10)
	}
	c.chunk.Reset(content)
	for {
		line, err := c.chunk.ReadSlice('\n')
		c.look(line)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
	switch {
	case c.recipients == 0:
		c.reply("554 5.5.1 no valid recipients")
	case bytes.EqualFold(bytes.TrimSpace(last), []byte("LAST")):
		c.finish()
	default:
		c.reply("250 2.0.0 next")
	}
	return nil
}

// look finds the message's number in its header.
func (c *receiver) look(line []byte) {
	if c.number >= 0 || len(line) == 0 || line[0] != numberField[0] {
		return
	}
	if n, ok := messageNumber(line); ok {
		c.number = n
	}
}

func (c *receiver) finish() {
	if c.sink.Ledger != nil {
		c.sink.Ledger.noteArrived(c.number)
	}
	c.sink.messages.Add(1)
	c.sink.recipients.Add(int64(c.recipients))
	c.finished++
	c.number, c.recipients = -1, 0
	c.reply("250 2.0.0 gone")
}
