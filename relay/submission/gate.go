package submission

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

const (
	maxFarewells    = 64 // clients being told 421 at once; others are just closed
	farewellTimeout = 3 * time.Second
	acceptPause     = 50 * time.Millisecond // after a failed accept, such as EMFILE
)

// accept takes connections until the listener is closed.
func (s *Server) accept(k *socket) {
	for {
		conn, err := k.Accept()
		l := k.now.Load()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			// Out of files or memory: others give some back in time.
			s.opt.Logger.Error("accept", "listener", l.name, "error", err)
			select {
			case <-time.After(acceptPause):
			case <-s.open.Done():
				return
			}
		default:
			s.admit(l, conn)
		}
	}
}

// admit starts a session, unless there are too many.
func (s *Server) admit(l *listener, conn net.Conn) {
	c := newSession(s, l, conn)
	if r, ok := s.enter(c); !ok {
		s.turnAway(l, conn, r)
		return
	}
	c.startEngine()
}

// turnAway tells a client why it can't be served. It never blocks: what can't be
// told at once is told by one of a few goroutines, or not at all.
func (s *Server) turnAway(l *listener, conn net.Conn, r mail.Reply) {
	s.record(mail.Event{
		Kind: mail.EventRejected, Time: time.Now(), Listener: l.name,
		Address: addrPort(conn.RemoteAddr()), Reply: r,
	})
	select {
	case s.farewells <- struct{}{}:
	default:
		_ = conn.Close()
		return
	}
	s.accepts.Go(func() {
		defer func() { <-s.farewells }()
		defer conn.Close()
		raw := conn
		defer context.AfterFunc(s.open, func() { _ = raw.Close() })() // Close waits for no client
		_ = conn.SetDeadline(time.Now().Add(farewellTimeout))
		if l.conf.TLS == config.TLSImplicit {
			c := s.tlsConfig()
			if c == nil {
				return
			}
			conn = tls.Server(conn, c)
		}
		if _, err := conn.Write(appendReply(nil, r)); err == nil {
			linger(raw)
		}
	})
}

// linger lets the client read the last reply: closing a socket with input
// that nobody read makes the kernel throw away what was sent (RFC 1122 4.2.2.13).
func linger(conn net.Conn) {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	_, _ = io.CopyN(io.Discard, conn, lingerOctets)
}

const (
	lingerTimeout = 500 * time.Millisecond
	lingerOctets  = 256 << 10
)
