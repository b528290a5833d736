package smtptest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// talk is a session while it goes on.
type talk struct {
	peer   *Peer
	number int
	record *Session
	conn   net.Conn
	in     *bufio.Reader
	out    bytes.Buffer
	counts map[Step]int

	encrypted bool
	user      string
	message   Message // the open transaction
	begun     bool    // MAIL was accepted
}

// errOver ends a session.
var errOver = errors.New("session is over")

// Serve speaks with conn until the session is over, and closes it.
func (p *Peer) Serve(conn net.Conn) {
	number, record, ok := p.enter(conn)
	if !ok {
		conn.Close()
		return
	}
	defer p.leave(conn, record)
	t := &talk{peer: p, number: number, record: record, conn: conn, counts: make(map[Step]int)}
	t.in = bufio.NewReaderSize(t, 64<<10)
	if p.script.Implicit && t.encrypt() != nil {
		return
	}
	if t.act(Command{Step: Connect}, "220 peer.test ESMTP") != nil {
		return
	}
	for {
		line, err := t.line()
		if err != nil || t.command(line) != nil {
			t.flush()
			return
		}
	}
}

// Read reads from the client, whatever was said to it being sent first.
func (t *talk) Read(b []byte) (int, error) {
	if err := t.flush(); err != nil {
		return 0, err
	}
	n, err := t.conn.Read(b)
	if !t.peer.script.Forget {
		t.peer.update(func() { t.record.Received = append(t.record.Received, b[:n]...) })
	}
	return n, err
}

func (t *talk) flush() error {
	if t.out.Len() == 0 {
		return nil
	}
	_, err := t.conn.Write(t.out.Bytes())
	t.out.Reset()
	return err
}

func (t *talk) line() (string, error) {
	line, err := t.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if !t.peer.script.Forget {
		t.peer.update(func() { t.record.Commands = append(t.record.Commands, line) })
	}
	return line, nil
}

// act does what the script wants at a step, or answers usual. It returns the error
// that ends the session, if one does.
func (t *talk) act(c Command, usual string) error {
	_, err := t.perform(c, usual)
	return err
}

// perform is act, and tells the code that was sent.
func (t *talk) perform(c Command, usual string) (said int, err error) {
	a := t.wanted(&c)
	if a == (Action{Delay: a.Delay, Trickle: a.Trickle}) {
		a.Reply = usual
	}
	return t.do(a)
}

// do does what a says. said is the code that was sent, 0 if nothing or garbage.
func (t *talk) do(a Action) (said int, err error) {
	if a.Delay > 0 {
		t.flush()
		time.Sleep(a.Delay)
	}
	if a.Hang {
		t.flush()
		io.Copy(io.Discard, t)
		return 0, errOver
	}
	if a.Abort {
		t.out.Reset()
		return 0, errOver
	}
	text := a.Raw
	if text == "" && a.Reply != "" {
		text = strings.ReplaceAll(a.Reply, "\n", "\r\n") + "\r\n"
	}
	if a.Trickle > 0 {
		err = t.trickle(text, a.Trickle)
	} else {
		t.out.WriteString(text)
	}
	if err == nil && a.Close {
		t.flush()
		err = errOver
	}
	last := a.Reply[strings.LastIndexByte(a.Reply, '\n')+1:]
	if len(last) >= 3 {
		said, _ = strconv.Atoi(last[:3])
	}
	return said, err
}

func (t *talk) trickle(text string, pause time.Duration) error {
	if err := t.flush(); err != nil {
		return err
	}
	for i := range len(text) {
		if _, err := io.WriteString(t.conn, text[i:i+1]); err != nil {
			return err
		}
		time.Sleep(pause)
	}
	return nil
}

// wanted counts the step and asks the script.
func (t *talk) wanted(c *Command) Action {
	t.counts[c.Step]++
	c.Session, c.Of, c.Recipients = t.number, t.counts[c.Step], len(t.message.Rcpt)
	t.peer.update(func() {
		t.peer.steps[c.Step]++
		c.N = t.peer.steps[c.Step]
	})
	if actor := t.peer.script.On[c.Step]; actor != nil {
		return actor(*c)
	}
	return Action{}
}

func (t *talk) say(reply string) error {
	t.out.WriteString(reply + "\r\n")
	return nil
}

// command obeys one line.
func (t *talk) command(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb = strings.ToUpper(verb); verb {
	case "EHLO":
		t.message, t.begun = Message{}, false
		return t.act(Command{Step: EHLO, Line: line}, t.keywords())
	case "HELO":
		return t.act(Command{Step: HELO, Line: line}, "250 peer.test")
	case "STARTTLS":
		return t.startTLS(line)
	case "AUTH":
		return t.auth(line, rest)
	case "MAIL":
		return t.mail(line)
	case "RCPT":
		return t.rcpt(line)
	case "DATA":
		return t.data(line)
	case "BDAT":
		return t.bdat(rest)
	case "RSET":
		t.message, t.begun = Message{}, false
		return t.act(Command{Step: Reset, Line: line}, "250 2.0.0 forgotten")
	case "NOOP":
		return t.say("250 2.0.0 yes")
	case "QUIT":
		t.peer.update(func() { t.record.Quit = true })
		t.act(Command{Step: Quit, Line: line}, "221 2.0.0 bye")
		return errOver
	}
	return t.say("500 5.5.2 what is " + strconv.Quote(verb))
}

func (t *talk) keywords() string {
	lines := []string{"peer.test"}
	s := &t.peer.script
	lines = append(lines, s.Keywords...)
	if s.TLS != nil && !t.encrypted {
		lines = append(lines, "STARTTLS")
	}
	if len(s.Users) > 0 {
		lines = append(lines, "AUTH "+strings.Join(s.mechanisms(), " "))
	}
	last := len(lines) - 1
	for i := range lines[:last] {
		lines[i] = "250-" + lines[i]
	}
	lines[last] = "250 " + lines[last]
	return strings.Join(lines, "\n")
}

func (t *talk) startTLS(line string) error {
	if t.peer.script.TLS == nil || t.encrypted {
		return t.say("502 5.5.1 no TLS here")
	}
	said, err := t.perform(Command{Step: StartTLS, Line: line}, "220 2.0.0 go ahead")
	if err != nil || said != 220 {
		return err
	}
	if err := t.flush(); err != nil {
		return err
	}
	return t.encrypt()
}

func (t *talk) encrypt() error {
	conn := tls.Server(t.conn, t.peer.script.TLS)
	if err := conn.Handshake(); err != nil {
		return err
	}
	t.conn, t.encrypted = conn, true
	t.in.Reset(t)
	t.peer.update(func() { t.record.TLS = true })
	return nil
}

// path returns what stands between the brackets of MAIL or RCPT.
func path(line string) string {
	_, rest, _ := strings.Cut(line, "<")
	inner, _, _ := strings.Cut(rest, ">")
	return inner
}

func (t *talk) mail(line string) error {
	if len(t.peer.script.Users) > 0 && t.user == "" {
		return t.say("530 5.7.0 authentication required")
	}
	if t.begun {
		return t.say("503 5.5.1 nested MAIL")
	}
	said, err := t.perform(Command{Step: Mail, Line: line, Path: path(line)}, "250 2.1.0 sender ok")
	if said/100 == 2 {
		t.begun = true
		t.message = Message{Session: t.number, Mail: line, From: path(line)}
	}
	return err
}

func (t *talk) rcpt(line string) error {
	if !t.begun {
		return t.say("503 5.5.1 MAIL first")
	}
	said, err := t.perform(Command{Step: Rcpt, Line: line, Path: path(line)}, "250 2.1.5 recipient ok")
	if said/100 == 2 {
		t.message.Rcpt = append(t.message.Rcpt, line)
		t.message.To = append(t.message.To, path(line))
	}
	return err
}

func (t *talk) data(line string) error {
	usual := "354 go on"
	if len(t.message.Rcpt) == 0 {
		usual = "554 5.5.1 no valid recipients"
	}
	said, err := t.perform(Command{Step: Data, Line: line}, usual)
	if err != nil || said != 354 {
		return err
	}
	content, err := t.dotted()
	if err != nil {
		return err
	}
	return t.take(content, false)
}

// dotted reads content up to CR LF dot CR LF, and nothing else ends it.
func (t *talk) dotted() ([]byte, error) {
	var content []byte
	start := true // of a line, behind CRLF
	for {
		piece, err := t.in.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return nil, err
		}
		if start && bytes.Equal(piece, []byte(".\r\n")) {
			return content, nil
		}
		if start && piece[0] == '.' {
			piece = piece[1:]
		}
		start = bytes.HasSuffix(piece, []byte("\r\n"))
		if !t.peer.script.Forget {
			content = append(content, piece...)
		}
	}
}

func (t *talk) bdat(params string) error {
	count, last, _ := strings.Cut(params, " ")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		return t.say("501 5.5.4 how many octets")
	}
	var chunk []byte
	if t.peer.script.Forget {
		_, err = io.CopyN(io.Discard, t.in, n)
	} else {
		chunk = make([]byte, n)
		_, err = io.ReadFull(t.in, chunk)
	}
	if err != nil {
		return err
	}
	if len(t.message.Rcpt) == 0 {
		return t.say("503 5.5.1 no valid recipients")
	}
	t.message.Content = append(t.message.Content, chunk...)
	if !strings.EqualFold(last, "LAST") {
		return t.say(fmt.Sprintf("250 2.0.0 %d octets", n))
	}
	return t.take(t.message.Content, true)
}

// take answers the end of the data, and keeps the message if that is a yes.
func (t *talk) take(content []byte, chunked bool) error {
	m := t.message
	m.Content, m.Chunked = content, chunked
	said, err := t.perform(Command{Step: Content}, "250 2.0.0 taken")
	t.message, t.begun = Message{}, false
	if said/100 == 2 {
		t.peer.update(func() {
			if t.peer.script.Forget {
				m = Message{Session: m.Session}
			}
			t.peer.messages = append(t.peer.messages, m)
		})
	}
	return err
}
