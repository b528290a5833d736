package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/routing"
)

// setup makes sessions with one host.
type setup struct {
	courier *Courier
	rules   *rules
	route   *routing.Route
	hop     *routing.NextHop
	key     sessionKey
	phases  *phases
	// dead is told of addresses that can't be connected to.
	dead func(netip.AddrPort)
}

// errNotOffered is a host without STARTTLS on a route that insists on TLS.
var errNotOffered = errors.New("host offers no STARTTLS")

// open connects to the first of addresses that answers and brings the session as
// far as MAIL. With a policy of "opportunistic", a failed handshake costs the
// connection, and another one is made in clear, as are those after it for a while;
// the session says so. An error is a *trouble, and address tells which one it is
// about.
func (u *setup) open(ctx context.Context, addresses []netip.AddrPort) (s *session, address netip.AddrPort, err error) {
	if u.key.policy != config.RouteTLSOpportunistic || u.hop.Implicit {
		return u.attempt(ctx, addresses, u.key.policy)
	}
	host := endpoint{u.hop.Host, u.hop.Port}
	inClear := u.courier.plaintext.why(host)
	if inClear == nil {
		s, address, err = u.attempt(ctx, addresses, u.key.policy)
		var failed *handshakeError
		if !errors.As(err, &failed) || ctx.Err() != nil {
			return s, address, err
		}
		u.courier.plaintext.add(host, failed)
		inClear, addresses = failed, []netip.AddrPort{address}
	}
	if s, address, err = u.attempt(ctx, addresses, config.RouteTLSNone); err == nil {
		s.inClear = inClear
	}
	return s, address, err
}

func (u *setup) attempt(ctx context.Context, addresses []netip.AddrPort, policy config.RouteTLS) (*session, netip.AddrPort, error) {
	start := time.Now()
	conn, address, err := u.rules.dialer.connect(ctx, addresses, u.dead)
	if err != nil {
		u.phases.add("connect", start)
		return nil, address, &trouble{at: atConnect, cause: err, nowhere: true}
	}
	s := &session{key: u.key, hop: u.hop, tcp: conn, host: u.hop.Host, address: address, born: start}
	s.conn, s.wire.limit = conn, u.rules.timeouts.Block
	release := s.bind(ctx)
	err = u.introduce(s, policy, start)
	if !release() && err == nil {
		err = &trouble{at: atConnect, cause: context.Cause(ctx)}
	}
	if err != nil {
		s.conn.Close()
		return nil, address, err
	}
	return s, address, nil
}

// introduce goes through greeting, EHLO, TLS and login.
func (u *setup) introduce(s *session, policy config.RouteTLS, start time.Time) error {
	t := &u.rules.timeouts
	if u.hop.Implicit {
		u.phases.add("connect", start)
		if err := u.handshake(s, policy); err != nil {
			return err
		}
		start = time.Now()
	}
	err := s.greeting(t)
	if err == nil {
		err = s.hello(u.rules.hostname, t)
	}
	u.phases.add("connect", start)
	if err != nil {
		return err
	}
	if !u.hop.Implicit {
		if err := u.startTLS(s, policy); err != nil {
			return err
		}
	}
	if u.key.account.user == "" {
		return nil
	}
	start = time.Now()
	defer func() { u.phases.add("auth", start) }()
	return s.login(u.key.account, u.route.Mechanisms, t)
}

// greeting waits for 220.
func (s *session) greeting(t *Timeouts) error {
	reply, err := s.wire.reply(t.Greeting)
	if err != nil || reply.Code != 220 {
		return &trouble{at: atConnect, reply: reply, cause: orUnexpected(err, reply)}
	}
	return nil
}

// hello sends EHLO, or HELO to a host that does not know it (RFC 5321 3.2).
func (s *session) hello(hostname string, t *Timeouts) error {
	reply, err := s.command("EHLO "+hostname, t.Hello)
	if err == nil {
		switch reply.Code {
		case 500, 501, 502, 503, 504:
			s.offers = keywords{}
			reply, err = s.command("HELO "+hostname, t.Hello)
		case 250:
			s.offers = parseKeywords(reply.Text)
		}
	}
	if err != nil || reply.Code != 250 {
		return &trouble{at: atConnect, reply: reply, cause: orUnexpected(err, reply)}
	}
	return nil
}

// orUnexpected is the cause behind a step that did not go well: err, or a reply
// that is neither the one awaited nor a refusal.
func orUnexpected(err error, r mail.Reply) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("unexpected reply: %s", r)
}

// startTLS encrypts the session as policy wants it, and says EHLO again: what was
// learned in clear counts for nothing (RFC 3207 section 4.2).
func (u *setup) startTLS(s *session, policy config.RouteTLS) error {
	if policy == config.RouteTLSNone {
		return nil
	}
	optional := policy == config.RouteTLSOpportunistic
	if !s.offers.startTLS {
		if optional {
			return nil
		}
		return &trouble{at: atTLS, cause: errNotOffered}
	}
	t := &u.rules.timeouts
	reply, err := s.command("STARTTLS", t.TLS)
	if err != nil {
		return &trouble{at: atTLS, cause: &handshakeError{err}}
	}
	if reply.Code != 220 {
		if optional && reply.Code != 421 {
			s.inClear = fmt.Errorf("STARTTLS: %s", reply)
			return nil
		}
		return &trouble{at: atTLS, reply: reply, cause: orUnexpected(nil, reply)}
	}
	if s.buffered() {
		// Someone put text behind the 220 to have it read as if it had come
		// encrypted.
		return &trouble{at: atTLS, cause: errors.New("host spoke on in clear after STARTTLS")}
	}
	if err := u.handshake(s, policy); err != nil {
		return err
	}
	err = s.hello(u.rules.hostname, t)
	if x, ok := errors.AsType[*trouble](err); ok && x.reply.Code == 0 {
		// With TLS 1.3 a host refuses the handshake, for want of a client
		// certificate, say, only after our last word in it.
		return &trouble{at: atTLS, cause: &handshakeError{x.cause}}
	}
	return err
}

// handshakeError is TLS that was begun, by STARTTLS or at once, and failed.
type handshakeError struct{ cause error }

func (e *handshakeError) Error() string { return "TLS handshake: " + inWords(e.cause) }
func (e *handshakeError) Unwrap() error { return e.cause }

// handshake encrypts s. Its failure is a *trouble at TLS with a *handshakeError
// inside.
func (u *setup) handshake(s *session, policy config.RouteTLS) error {
	start := time.Now()
	defer func() { u.phases.add("tls", start) }()
	c := u.courier.securities.config(policy, u.key.authorities, s.host)
	conn := tls.Client(s.conn, c)
	if err := s.expire(conn.SetDeadline, u.rules.timeouts.TLS); err != nil {
		return &trouble{at: atTLS, cause: err}
	}
	err := conn.HandshakeContext(s.ctx)
	u.courier.meter.Handshake(err)
	if err != nil {
		return &trouble{at: atTLS, cause: &handshakeError{err}}
	}
	state := conn.ConnectionState()
	s.conn, s.tls, s.secured = net.Conn(conn), mail.TLSName(&state), !c.InsecureSkipVerify
	return nil
}
