package submission

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/mail"
)

// chunkSource reads content as BDAT sends it: counted chunks, each behind its
// command (RFC 3030 2). For the engine the whole is one DATA.
type chunkSource struct {
	s     *session
	clock contentClock
	left  int64 // of the chunk that runs
	size  int64 // of it in all
	last  bool  // no chunk follows it
}

var errChunksAborted = errors.New("content given up between two chunks")

// next returns more of the content, or reads commands until there is more.
func (c *chunkSource) next(refused bool) ([]byte, error) {
	for c.left == 0 {
		if c.last || refused {
			return nil, io.EOF // the reply to this chunk is that to the message
		}
		c.s.out.reply(reply(250, mail.EnhancedCode{2, 0, 0}, strconv.FormatInt(c.size, 10)+" octets received"))
		if err := c.between(); err != nil {
			return nil, err
		}
	}
	if len(c.s.in.unread()) == 0 {
		if err := c.clock.fill(); err != nil {
			return nil, err
		}
	}
	b := c.s.in.unread()
	b = b[:min(int64(len(b)), c.left)]
	c.s.in.consume(len(b))
	c.left -= int64(len(b))
	return b, nil
}

// between acts on commands until the next BDAT. Those that end the transaction
// end the content, which nobody answers any more.
func (c *chunkSource) between() error {
	s := c.s
	for before := c.size; ; {
		line, err := s.line()
		if err == errLineTooLong {
			s.decline(replyLineTooLong)
			continue
		}
		var forward string
		if err == nil {
			c.size = -1
			forward = s.command(line)
		}
		switch {
		case err != nil, s.ended, forward != "":
			s.out.answers[0] = answerNothing
			s.toEngine += forward
			return errChunksAborted
		case c.size >= 0:
			return nil
		}
		c.size = before
	}
}

// bdatCommand begins a chunk. The first of a message begins the content, and
// is a DATA to the engine.
func (s *session) bdatCommand(arg string) string {
	size, last, ok := parseChunk(arg)
	if !ok {
		// Without its length the chunk would be read as commands.
		s.expel(replyChunkSyntax)
		return ""
	}
	if size == 0 && !last {
		s.wasted(wasteNothing)
	}
	if s.chunks != nil {
		s.chunks.left, s.chunks.size, s.chunks.last = size, size, last
		return ""
	}
	if !s.mayTakeContent() {
		s.discardChunk(size)
		return ""
	}
	s.chunks = &chunkSource{s: s, clock: s.contentClock(), left: size, size: size, last: last}
	s.out.expect(answerNothing)
	s.out.expect(answerAsItIs)
	return "DATA\r\n"
}

// discardChunk reads past a chunk that comes in vain: it follows its command
// whatever that was answered.
func (s *session) discardChunk(left int64) {
	clock := s.contentClock()
	for left > 0 {
		if len(s.in.unread()) == 0 {
			if err := clock.fill(); err != nil {
				s.end(cutOff(err))
				return
			}
		}
		n := min(int64(len(s.in.unread())), left)
		s.in.consume(int(n))
		left -= n
	}
}

// parseChunk reads "octets [LAST]".
func parseChunk(arg string) (size int64, last, ok bool) {
	number, rest, more := strings.Cut(arg, " ")
	if more && !strings.EqualFold(strings.TrimLeft(rest, " "), "LAST") {
		return 0, false, false
	}
	if number == "" || len(number) > 18 || strings.Trim(number, "0123456789") != "" {
		return 0, false, false
	}
	size, err := strconv.ParseInt(number, 10, 64)
	return size, more, err == nil
}
