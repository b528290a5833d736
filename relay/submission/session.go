package submission

import (
	"crypto/tls"
	"io"
	"net"
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
	set *settings
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

	mu    sync.Mutex // guards until, and the read deadline while it is set
	until time.Time  // how long an idle client may take; zero if it is not idle

	// For the guard.
	opened, restarted, handover, closed bool
	counted                             bool   // addr has been counted
	toEngine                            string // what the engine reads next
	ended                               bool   // after the last reply nothing more is read
	unheard                             bool   // the client may be sending what nobody reads

	// What is known of the client.
	client   policy.Client
	tls      *tls.ConnectionState // nil in clear
	shown    []byte               // our certificate under TLS, in DER
	helo     string
	esmtp    bool
	identity *mail.Identity
	login    policy.Login
	by       policy.Authenticator // that let login in; nil if none was asked
	loggedIn bool                 // by AUTH
	exchange *exchange            // AUTH that runs
	failures int                  // failed AUTH commands
	holds    string               // the identity counted in users

	waste int // commands that led nowhere since the last message, weighted

	sender    senderArgs     // of the MAIL that was passed to the engine
	recipient mail.Recipient // of the RCPT
	tx        *transaction   // nil outside of one
	chunks    *chunkSource   // while BDAT content is being read
}

func newSession(srv *Server, l *listener, conn net.Conn) *session {
	s := &session{srv: srv, lst: l, raw: conn, conn: conn, remote: conn.RemoteAddr(), began: time.Now()}
	s.refresh()
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

// expel makes r the last reply, to a client that may well be sending still, and
// records that.
func (s *session) expel(r mail.Reply) {
	s.rejected(r)
	s.end(r)
	s.unheard = true
}

// refuse answers a command with an error that counts against the client.
func (s *session) refuse(r mail.Reply) {
	s.out.reply(r)
	s.wasted(wasteError)
}

// decline refuses what a client that means well may send, before policy is asked, and
// records that: who looks after a device that can't send has only our log.
func (s *session) decline(r mail.Reply) {
	s.rejected(r)
	s.refuse(r)
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
			s.decline(replyLineTooLong)
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
	s.identity, s.by, s.loggedIn = nil, nil, false
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
	id.TLS = mail.TLSName(s.tls)
	return &id
}

// remoteText returns the client's address for the log.
func (s *session) remoteText() string {
	if s.lst.unix {
		return s.lst.name
	}
	return s.remote.String()
}
