package delivery

import (
	"net"
	"net/netip"
	"time"

	"github.com/postrider/postrider/routing"
)

// session is an SMTP session with one host, past greeting, EHLO, TLS and login,
// and ready for MAIL.
type session struct {
	wire
	key     sessionKey
	hop     *routing.NextHop
	tcp     net.Conn // below TLS
	host    string
	address netip.AddrPort
	tls     string // "TLSv1.3"; empty in clear
	// secured says that the certificate was verified for host.
	secured bool
	// inClear is why an opportunistic session is not encrypted though it was
	// tried; nil otherwise.
	inClear error
	offers  keywords

	born     time.Time
	idle     time.Time // since when it has been waiting in the cache
	messages int       // transactions brought to their end, well or not
	proven   bool      // it took content by BDAT before
	reset    bool      // a transaction is open that RSET must end
	over     bool      // no further transaction: only QUIT
	lost     bool      // not even that
}

// reused reports whether the session has served before.
func (s *session) reused() bool { return s.messages > 0 }

// eager reports whether content may leave in one flight with the commands before
// it. That is for a session on which the host has taken content by BDAT before:
// one that does not know how to skip a chunk it refuses would take content for
// commands. And for one that has not rested so long that the host may be closing
// it just now, since nobody could tell then whether the content was taken.
func (s *session) eager() bool {
	return s.proven && s.offers.pipelining && time.Since(s.idle) < maxEagerRest
}

const maxEagerRest = 10 * time.Second

// quit ends the session politely: QUIT, a short wait for 221, close.
func (s *session) quit(t *Timeouts) {
	s.conn.SetDeadline(time.Now().Add(t.Quit))
	if _, err := s.conn.Write([]byte("QUIT\r\n")); err == nil {
		var b [256]byte
		s.conn.Read(b[:])
	}
	s.conn.Close()
}
