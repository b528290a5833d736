package submission

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
)

// session is one client's connection from accept to close. All of it belongs to
// the session's goroutine, but for what mu guards.
type session struct {
	srv *Server
	lst *listener
	raw net.Conn // as accepted
	// conn is raw, or TLS over it, or a PROXY connection over it.
	conn   net.Conn
	remote net.Addr // of the client, also behind a proxy
	// nameless: a proxy speaks for somebody and doesn't say for whom.
	nameless bool
	addr     addressKey
	in       input
	out      output
	began    time.Time

	mu   sync.Mutex // guards idle and the read deadline while idle
	idle bool

	// For the guard.
	opened, restarted, handover, closed bool
	counted                             bool   // addr has been counted
	toEngine                            string // what the engine reads next
	ended                               bool   // after the last reply nothing more is read
	unheard                             bool   // the client may be sending what nobody reads

	// What is known of the client.
	client   policy.Client
	tls      *tls.ConnectionState // nil in clear
	helo     string
	esmtp    bool
	identity *mail.Identity
	loggedIn bool      // by AUTH
	exchange *exchange // AUTH that runs
	failures int       // failed AUTH commands
	holds    string    // the identity counted in users

	waste int // commands that led nowhere since the last message, weighted

	sender    senderArgs    // of the MAIL that was passed to the engine
	recipient recipientArgs // of the RCPT
	tx        *transaction  // nil outside of one
	chunks    *chunkSource  // while BDAT content is being read
}

func newSession(srv *Server, l *listener, conn net.Conn) *session {
	s := &session{srv: srv, lst: l, raw: conn, conn: conn, remote: conn.RemoteAddr(), began: time.Now()}
	s.out.timeout = srv.opt.Limits.CommandTimeout
	return s
}

// close ends the session's connection and gives everything back.
func (s *session) close() {
	if s.closed {
		return
	}
	s.closed = true
	_ = s.out.flush()
	if s.unheard && s.out.err == nil {
		linger(s.raw)
	}
	_ = s.conn.Close()
	s.forget()
	s.in.release()
	if s.counted {
		s.srv.addresses.quit(s.addr)
	}
	s.release()
	s.srv.leave(s)
}

// end makes r the last reply, to a client that waits.
func (s *session) end(r mail.Reply) {
	s.out.reply(r)
	s.ended = true
}

// expel makes r the last reply, to a client that may well be sending still.
func (s *session) expel(r mail.Reply) {
	s.end(r)
	s.unheard = true
}

// refuse answers a command with an error that counts against the client.
func (s *session) refuse(r mail.Reply) {
	s.out.reply(r)
	s.wasted(wasteError)
}

// Weights of commands that lead nowhere, and how much a session may have of them
// before it has to go. Twenty errors are a broken client or a hostile one; idle
// pools send NOOP and RSET now and then.
const (
	wasteNothing = 1
	wasteError   = 10
	wasteLimit   = 200
)

// wasted counts a command without progress. The next one may be one too many.
func (s *session) wasted(weight int) { s.waste += weight }

// wake interrupts a client that is idle, so that it learns of the shutdown. It
// is called from other goroutines.
func (s *session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.idle {
		_ = s.raw.SetReadDeadline(time.Unix(1, 0))
	}
}

// rest waits for input between transactions. It returns false if the server is
// shutting down.
func (s *session) rest(deadline time.Time) error {
	s.mu.Lock()
	if s.srv.draining.Load() {
		s.mu.Unlock()
		return errDraining
	}
	s.idle = true
	_ = s.conn.SetReadDeadline(deadline)
	s.mu.Unlock()

	err := s.in.fill()

	s.mu.Lock()
	s.idle = false
	s.mu.Unlock()
	if err != nil && s.srv.draining.Load() {
		return errDraining
	}
	return err
}

var errDraining = errors.New("shutting down")

// fill waits for input until deadline; what waits to be sent goes first.
func (s *session) fill(deadline time.Time) error {
	if err := s.out.flush(); err != nil {
		return err
	}
	if s.tx == nil {
		return s.rest(deadline)
	}
	_ = s.conn.SetReadDeadline(deadline)
	return s.in.fill()
}

// bareLFPatience is how long a client that has sent a bare LF may take to send
// CR LF. It is most likely waiting for an answer.
const bareLFPatience = 2 * time.Second

// line reads a line. A timeout or shutdown has been answered when it returns
// io.EOF.
func (s *session) line() (string, error) {
	limits := &s.srv.opt.Limits
	if s.waste >= wasteLimit {
		s.expel(replyNoProgress)
		return "", io.EOF
	}
	var deadline time.Time
	hurried := false
	for {
		b, err := s.in.line()
		if err == nil {
			return string(b), nil
		}
		if err == errLineTooLong {
			return "", err
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(limits.CommandTimeout)
			if last := s.began.Add(limits.SessionTimeout); limits.SessionTimeout > 0 && last.Before(deadline) {
				deadline = last
			}
		}
		if err == errBareLF && !hurried {
			hurried = true
			if soon := time.Now().Add(bareLFPatience); soon.Before(deadline) {
				deadline = soon
			}
		}
		if err := s.fill(deadline); err != nil {
			return "", s.interrupted(err)
		}
	}
}

// interrupted answers what kept a command from being read, as far as there is
// anyone to answer to, and returns io.EOF.
func (s *session) interrupted(err error) error {
	switch {
	case errors.Is(err, errDraining):
		s.end(replyShutdown)
	case errors.Is(err, os.ErrDeadlineExceeded):
		_, lineErr := s.in.line()
		limit := s.srv.opt.Limits.SessionTimeout
		switch {
		case lineErr == errBareLF:
			s.expel(replyBareNewline)
		case limit > 0 && time.Since(s.began) >= limit:
			s.end(replySessionTimeout)
		default:
			s.end(replyTimeout)
		}
	default:
		s.ended = true
	}
	_ = s.out.flush()
	return io.EOF
}

// next returns the next line for the engine. Commands that are not for the
// engine are answered on the way.
func (s *session) next() (string, error) {
	for {
		if s.closed {
			return "", net.ErrClosed
		}
		if s.ended || s.handover || s.out.last == 421 {
			return "", io.EOF
		}
		line, err := s.line()
		switch {
		case err == errLineTooLong && s.exchange != nil:
			return s.cancelAuth(replyAuthTooLong), nil
		case err == errLineTooLong:
			s.refuse(replyLineTooLong)
			continue
		case err != nil:
			return "", err
		}
		if s.exchange != nil {
			return s.response(line), nil
		}
		if forward := s.command(line); forward != "" {
			return forward, nil
		}
	}
}

// NewSession gives the engine the session, when the client has said EHLO.
func (s *session) NewSession(*smtp.Conn) (smtp.Session, error) { return s, nil }

// Reset forgets the transaction; the engine calls it after RSET, EHLO and the
// end of the data.
func (s *session) Reset() { s.forget() }

// Logout is the engine's end; close does the work.
func (s *session) Logout() error { return nil }

// local reports whether the client is on this host, as far as its connection
// tells: what a proxy speaks for is not.
func (s *session) local() bool {
	if s.lst.unix {
		return true
	}
	a := addrPort(s.remote).Addr()
	return !s.nameless && a.IsLoopback() && addrPort(s.raw.RemoteAddr()).Addr().IsLoopback()
}

// mayAuthInClear reports whether passwords may travel on this connection as it
// is now.
func (s *session) mayAuthInClear() bool {
	return s.tls != nil || s.lst.conf.AllowInsecureAuth && s.local()
}

// identify sets the identity that a listener lends to its clients.
func (s *session) identify() {
	s.identity, s.loggedIn = nil, false
	if s.lst.conf.Auth != config.AuthNone || !s.local() {
		return
	}
	name := s.lst.conf.Identity
	if name == "" {
		name = "local"
	}
	s.identity = s.describe(mail.Identity{Name: name, Mechanism: "none"})
}

// describe completes an identity with what the session knows.
func (s *session) describe(id mail.Identity) *mail.Identity {
	id.Listener = s.lst.name
	id.Remote = addrPort(s.remote)
	id.Helo = s.helo
	id.TLS = tlsName(s.tls)
	return &id
}

// remoteText returns the client's address for the log.
func (s *session) remoteText() string {
	if s.lst.unix {
		return s.lst.name
	}
	return s.remote.String()
}

// tlsName returns the protocol as logs and trace fields spell it.
func tlsName(c *tls.ConnectionState) string {
	if c == nil {
		return ""
	}
	switch c.Version {
	case tls.VersionTLS13:
		return "TLSv1.3"
	case tls.VersionTLS12:
		return "TLSv1.2"
	}
	return tls.VersionName(c.Version)
}
