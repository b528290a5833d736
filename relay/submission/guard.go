package submission

import (
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"time"

	"github.com/emersion/go-smtp"
)

// guard is the connection the engine sees. It lets through only whole commands
// that are in order, hides the encryption below, and keeps the engine's replies
// until the client waits for them.
//
// The engine calls it from one goroutine, the session's.
type guard struct {
	s *session
}

// Read gives the engine its next command.
func (g *guard) Read(p []byte) (n int, err error) {
	s := g.s
	defer s.recover(&err)
	if s.toEngine == "" {
		if s.toEngine, err = s.next(); err != nil {
			return 0, err
		}
	}
	n = copy(p, s.toEngine)
	s.toEngine = s.toEngine[n:]
	return n, nil
}

// Write takes a line of a reply. The first is the greeting: there the session
// really begins.
func (g *guard) Write(p []byte) (n int, err error) {
	s := g.s
	defer s.recover(&err)
	if !s.opened {
		s.opened = true
		s.open()
		return len(p), nil
	}
	if s.restarted {
		s.restarted = false // a new engine after STARTTLS; it must not greet
		return len(p), nil
	}
	return len(p), s.out.engine(p)
}

// Close ends the session, or only the engine's part of it when STARTTLS begins
// a new one.
func (g *guard) Close() error {
	s := g.s
	if s.handover {
		s.handover, s.restarted = false, true
		s.startEngine()
		return nil
	}
	s.close()
	return nil
}

func (g *guard) LocalAddr() net.Addr  { return g.s.raw.LocalAddr() }
func (g *guard) RemoteAddr() net.Addr { return g.s.remote }

// Deadlines are the session's business; the engine has none.
func (g *guard) SetDeadline(time.Time) error      { return nil }
func (g *guard) SetReadDeadline(time.Time) error  { return nil }
func (g *guard) SetWriteDeadline(time.Time) error { return nil }

// The roots of a session: a panic ends it and nothing else. recover is for what
// the guard does by itself, caught for what the engine asks of the session.

func (s *session) recover(err *error) {
	if p := recover(); p != nil {
		s.logPanic(p)
		s.end(replyInternal)
		s.unheard = true
		_ = s.out.flush()
		*err = io.EOF
	}
}

func (s *session) caught(err *error) {
	if p := recover(); p != nil {
		s.logPanic(p)
		s.unheard = true
		*err = engineError(replyInternal)
	}
}

func (s *session) logPanic(p any) {
	s.srv.opt.Logger.Error("panic in a session", "panic", p, "remote", s.remoteText(), "stack", string(debug.Stack()))
}

// engineLog takes what go-smtp has to say: panics of its own.
type engineLog struct{ s *session }

func (l engineLog) Printf(format string, v ...any) {
	l.s.srv.opt.Logger.Error("smtp engine", "remote", l.s.remoteText(), "text", fmt.Sprintf(format, v...))
}

func (l engineLog) Println(v ...any) {
	l.s.srv.opt.Logger.Error("smtp engine", "remote", l.s.remoteText(), "text", fmt.Sprintln(v...))
}

// startEngine begins an engine with nothing learned on the session's connection.
// It serves one connection, and starts the goroutine for it.
func (s *session) startEngine() {
	engine := smtp.NewServer(s)
	engine.Domain = s.set.hostname
	engine.AllowInsecureAuth = true // whether AUTH may run is decided before it gets there
	engine.EnableSMTPUTF8 = true
	engine.MaxLineLength = 0 // lines are measured before they get there
	engine.ErrorLog = engineLog{s}
	_ = engine.Serve(&handout{conn: &guard{s}, addr: s.lst.addr})
}

// handout is a listener with one connection to give.
type handout struct {
	conn net.Conn
	addr net.Addr
}

// Accept returns the connection, then io.EOF.
func (h *handout) Accept() (net.Conn, error) {
	if h.conn == nil {
		return nil, io.EOF
	}
	c := h.conn
	h.conn = nil
	return c, nil
}

func (h *handout) Close() error   { return nil }
func (h *handout) Addr() net.Addr { return h.addr }
