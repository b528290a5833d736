package submission

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	proxyproto "github.com/pires/go-proxyproto"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
)

// open begins the session: it learns who connects, encrypts where the listener
// wants that from the first octet, and greets. What goes wrong ends the session.
func (s *session) open() {
	if !s.throughProxy() {
		s.ended = true
		return
	}
	s.in.init(s.conn)
	s.out.conn = s.conn
	s.addr = keyOf(addrPort(s.remote).Addr())
	s.srv.record(mail.Event{
		Kind: mail.EventConnect, Time: s.began, Listener: s.lst.name, Address: addrPort(s.remote),
	})
	if !s.lst.unix {
		s.counted = s.srv.addresses.join(s.addr, s.set.limits.MaxConnectionsPerAddress)
		if !s.counted && s.lst.conf.TLS != config.TLSImplicit {
			s.rejected(replyTooManyFromAddress)
			s.end(replyTooManyFromAddress)
			return
		}
	}
	if s.lst.conf.TLS == config.TLSImplicit && !s.handshake(s.srv.tlsConfig()) {
		s.ended = true
		return
	}
	if !s.lst.unix && !s.counted {
		s.rejected(replyTooManyFromAddress)
		s.end(replyTooManyFromAddress)
		return
	}
	s.meet()
	if s.identity != nil && !s.hold(s.identity) {
		s.rejected(replyTooManyOfIdentity)
		s.end(replyTooManyOfIdentity)
		return
	}
	s.out.reply(mail.Reply{Code: 220, Text: s.set.hostname + " ESMTP Postrider"})
}

// meet notes what is known of the client before it says anything: at the
// beginning, and again when TLS has begun.
func (s *session) meet() {
	s.client = policy.Client{Remote: s.remote, TLS: s.tls, Certificate: s.shown}
	if s.lst.unix {
		s.client.Peer = peerOf(s.raw)
	}
	s.helo, s.esmtp = "", false
	s.identify()
}

// throughProxy reads the PROXY header a listed proxy must send. A client that
// is not listed has no business sending one: it would be a command, and wrong.
func (s *session) throughProxy() bool {
	from := addrPort(s.raw.RemoteAddr()).Addr()
	if s.lst.unix || !s.lst.trusts(from) {
		return true
	}
	// A timeout of its own would be set over the one that wakes the session.
	heard := &heard{Conn: s.raw}
	proxied := proxyproto.NewConn(heard, proxyproto.WithPolicy(proxyproto.REQUIRE), proxyproto.SetReadHeaderTimeout(0))
	var header *proxyproto.Header
	_ = s.await(s.openingDeadline(), func() error {
		header = proxied.ProxyHeader()
		return nil
	})
	if header == nil {
		level := slog.LevelDebug // a probe of the port
		if heard.anything {
			level = slog.LevelInfo // a proxy that is set up otherwise, or no proxy
		}
		s.srv.opt.Logger.Log(s.srv.ctx, level, "no PROXY header from an address in proxy_protocol, closing connection",
			"listener", s.lst.name, "remote", from)
		return false
	}
	s.conn = proxied
	tcp, ok := header.SourceAddr.(*net.TCPAddr)
	if !ok || header.Command.IsLocal() {
		s.nameless = true // the proxy itself, or whom it can't name
		return true
	}
	s.remote = tcp
	return true
}

// heard is a connection that knows whether anything has come.
type heard struct {
	net.Conn
	anything bool
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.Conn.Read(p)
	h.anything = h.anything || n > 0
	return n, err
}

// openingTimeout is how long a client may take for a PROXY header, and for a TLS
// handshake. Programs do both, without a moment to think.
const openingTimeout = 30 * time.Second

func (s *session) openingDeadline() time.Time {
	return time.Now().Add(min(s.set.limits.CommandTimeout, openingTimeout))
}

// handshake puts TLS over the connection. The error is the log's: there is
// nobody to answer to.
func (s *session) handshake(c *tls.Config) bool {
	if c == nil {
		s.srv.opt.Logger.Error("no certificate for a listener with implicit TLS", "listener", s.lst.name)
		return false
	}
	conn := tls.Server(s.conn, c)
	deadline := s.openingDeadline()
	_ = s.conn.SetWriteDeadline(deadline)
	err := s.await(deadline, conn.Handshake)
	if err == errDraining {
		return false
	}
	if s.srv.opt.Handshake != nil {
		defer s.srv.opt.Handshake(err)
	}
	if err != nil {
		level := slog.LevelInfo // a device too old, or one that refuses our certificate
		if hungUp(err) {
			level = slog.LevelDebug // a probe of the port
		}
		s.srv.opt.Logger.Log(s.srv.ctx, level, "TLS handshake failed", "listener", s.lst.name, "remote", s.remoteText(), "error", err)
		return false
	}
	state := conn.ConnectionState()
	s.tls, s.conn, s.shown = &state, conn, certificateOf(c)
	s.in.restart(conn)
	s.out.conn = conn
	return true
}

// hungUp reports whether a handshake ended with the connection, and not with what
// either side said.
func hungUp(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.As(err, &op) && (op.Op == "read" || op.Op == "write")
}

// certificateOf returns the certificate that handshakes with c show, in DER; nil
// if that is not known beforehand.
func certificateOf(c *tls.Config) []byte {
	if len(c.Certificates) != 1 || c.GetCertificate != nil || c.GetConfigForClient != nil {
		return nil
	}
	return c.Certificates[0].Certificate[0]
}

// startTLS answers STARTTLS. Everything received and learned in clear is
// forgotten (RFC 3207 4.2), by the engine too: it is replaced.
func (s *session) startTLS(arg string) string {
	var c *tls.Config
	switch {
	case arg != "":
		s.refuse(replyNoArguments)
		return ""
	case s.tls != nil:
		s.refuse(replyTLSActive)
		return ""
	case s.lst.conf.TLS == config.TLSNone:
		s.refuse(replyTLSOff)
		return ""
	}
	if c = s.srv.tlsConfig(); c == nil {
		s.out.reply(replyTLSMissing)
		return ""
	}
	s.out.reply(replyStartTLS)
	s.in.restart(s.conn)
	if s.out.flush() != nil || !s.handshake(c) {
		s.ended = true
		return ""
	}
	s.forget()
	s.release()
	s.meet()
	if s.identity != nil && !s.hold(s.identity) {
		s.rejected(replyTooManyOfIdentity)
		s.end(replyTooManyOfIdentity)
		return ""
	}
	s.handover = true
	return ""
}

// maxHelo is the longest name taken in EHLO, in octets (RFC 5321 4.5.3.1.2).
const maxHelo = 255

// hello answers EHLO and HELO.
func (s *session) hello(verb, arg string) string {
	if arg == "" || len(arg) > maxHelo || strings.ContainsRune(arg, ' ') {
		s.refuse(replyHelloName)
		return ""
	}
	s.refresh()
	s.wasted(wasteNothing)
	s.helo, s.esmtp = arg, verb == "EHLO"
	if s.identity != nil {
		s.identity.Helo = arg
	}
	if s.esmtp {
		s.out.expect(answer{text: s.capabilities()})
	} else {
		s.out.expect(answer{text: "250 " + s.set.hostname + "\r\n"})
	}
	return verb + " " + arg + "\r\n"
}

// capabilities returns the answer to EHLO. Most of it is fixed; what depends
// on TLS and on who the client is only the session knows.
func (s *session) capabilities() string {
	b := make([]byte, 0, 512)
	line := func(parts ...string) {
		b = append(b, "250-"...)
		for _, p := range parts {
			b = append(b, p...)
		}
		b = append(b, "\r\n"...)
	}
	line(s.set.hostname)
	line("PIPELINING")
	size, recipients := s.limits(s.judge())
	if size > 0 {
		line("SIZE ", strconv.FormatInt(size, 10))
	} else {
		line("SIZE")
	}
	if s.tls == nil && s.lst.conf.TLS != config.TLSNone && s.lst.conf.TLS != config.TLSImplicit && s.srv.tlsConfig() != nil {
		line("STARTTLS")
	}
	if mechanisms := s.mechanisms(); len(mechanisms) > 0 {
		list := strings.Join(mechanisms, " ")
		line("AUTH ", list)
		if s.lst.conf.LegacyAuthLine {
			line("AUTH=", list)
		}
	}
	line("ENHANCEDSTATUSCODES")
	line("8BITMIME")
	line("SMTPUTF8")
	line("DSN")
	if s.tls != nil {
		line("REQUIRETLS")
	}
	if recipients > 0 {
		line("LIMITS RCPTMAX=", strconv.Itoa(recipients))
	}
	b = append(b, "250 CHUNKING\r\n"...)
	return string(b)
}

// rejected records a refusal outside of a transaction.
func (s *session) rejected(r mail.Reply) {
	e := mail.Event{
		Kind: mail.EventRejected, Time: time.Now(), Listener: s.lst.name, Host: s.helo,
		Address: addrPort(s.remote), TLS: mail.TLSName(s.tls), Reply: r,
	}
	if s.identity != nil {
		e.Identity = s.identity.Name
	}
	s.srv.record(e)
}
