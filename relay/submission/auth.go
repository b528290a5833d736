package submission

import (
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
)

// exchange is an AUTH command that runs: the server's side of a mechanism, as
// the engine drives it.
type exchange struct {
	s         *session
	mechanism string
	server    sasl.Server
	step      int
	// user is whom the client says it is, for the log and for penalties.
	user string
	by   policy.Authenticator
	got  *policy.Login
}

// mechanisms returns what EHLO offers on the connection as it is.
func (s *session) mechanisms() []string {
	if s.srv.opt.Authenticator == nil || s.lst.conf.TLS == config.TLSRequired && s.tls == nil {
		return nil
	}
	plaintext := s.mayAuthInClear()
	if !plaintext && !s.lst.unix {
		return nil // over a network TLS comes first
	}
	return s.srv.opt.Authenticator().Mechanisms(&s.client, plaintext)
}

// authCommand checks AUTH and passes it on. The engine then asks Auth for the
// mechanism and carries its challenges.
func (s *session) authCommand(arg string) string {
	mechanism, initial, _ := strings.Cut(arg, " ")
	mechanism = strings.ToUpper(mechanism)
	if !validMechanism(mechanism) {
		mechanism = "" // it may be a password, and is not for the log
	}
	if r, ok := s.authRefusal(mechanism, initial); ok {
		s.auth(mail.Identity{Mechanism: mechanism}, r, nil)
		s.refuse(r)
		return ""
	}
	s.exchange = &exchange{s: s, mechanism: mechanism}
	s.out.expect(answerLoggedIn)
	if initial == "" {
		return "AUTH " + mechanism + "\r\n"
	}
	return "AUTH " + mechanism + " " + initial + "\r\n"
}

// authRefusal returns why an AUTH command begins no exchange.
func (s *session) authRefusal(mechanism, initial string) (mail.Reply, bool) {
	switch {
	case s.helo == "":
		return replyHelloFirst, true
	case s.loggedIn:
		return replyAuthTwice, true
	case s.tx != nil:
		return replyNested, true
	case s.lst.conf.TLS == config.TLSRequired && s.tls == nil:
		return replyTLSRequired, true
	case mechanism == "", strings.Contains(initial, " "):
		return replyAuthSyntax, true
	case initial != "" && !isBase64(initial):
		return replyBase64, true
	case !slices.Contains(s.mechanisms(), mechanism):
		return s.notOffered(mechanism), true
	}
	return mail.Reply{}, false
}

// notOffered tells a mechanism that needs TLS from one that there isn't.
func (s *session) notOffered(mechanism string) mail.Reply {
	if s.srv.opt.Authenticator == nil || s.mayAuthInClear() ||
		!slices.Contains(s.srv.opt.Authenticator().Mechanisms(&s.client, true), mechanism) {
		return replyMechanism
	}
	if s.lst.conf.TLS == config.TLSNone {
		return replyAuthNoTLS
	}
	return replyAuthNeedsTLS
}

// validMechanism checks the name of a mechanism (RFC 4422 3.1).
func validMechanism(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 20
}

// response passes on one line of the exchange.
func (s *session) response(line string) string {
	switch {
	case line == "*":
		return s.cancelAuth(replyAuthCancel)
	case len(line) > maxAuthLine:
		return s.cancelAuth(replyAuthTooLong)
	case line != "" && !isBase64(line):
		return s.cancelAuth(replyBase64)
	}
	return line + "\r\n"
}

// cancelAuth makes the engine give up the exchange, which r answers.
func (s *session) cancelAuth(r mail.Reply) string {
	s.auth(mail.Identity{Name: s.exchange.user, Mechanism: s.exchange.mechanism}, r, nil)
	s.exchange = nil
	s.out.answers = append(s.out.answers[:0], answer{text: string(appendReply(nil, r)), always: true})
	s.wasted(wasteError)
	return "*\r\n"
}

func isBase64(s string) bool {
	if s == "=" {
		return true // an empty initial response (RFC 4954 4)
	}
	_, err := base64.StdEncoding.DecodeString(s)
	return err == nil && !strings.ContainsAny(s, "\r\n") // which the decoder skips, and the engine takes for a line's end
}

// AuthMechanisms is for the engine's EHLO answer, which is replaced by ours.
func (s *session) AuthMechanisms() []string { return nil }

// Auth gives the engine the mechanism that authCommand has checked.
func (s *session) Auth(string) (_ sasl.Server, err error) {
	defer s.caught(&err)
	x := s.exchange
	x.by = s.srv.opt.Authenticator()
	x.server, err = x.by.Start(s.srv.ctx, &s.client, x.mechanism, func(l policy.Login) { x.got = &l })
	if err != nil {
		return nil, x.failed(err)
	}
	return x, nil
}

// Next carries one step. Its error is what the client is answered.
func (x *exchange) Next(response []byte) (challenge []byte, done bool, err error) {
	defer x.s.caught(&err)
	if response != nil {
		x.step++
		if user := claimedUser(x.mechanism, x.step, response); user != "" {
			x.user = user
		}
	}
	challenge, done, err = x.server.Next(response)
	if err != nil {
		return nil, false, x.failed(err)
	}
	if !done {
		return challenge, false, nil
	}
	if x.got == nil {
		return nil, false, x.failed(errNotNow)
	}
	return nil, true, x.succeeded()
}

// succeeded makes the session the identity's.
func (x *exchange) succeeded() error {
	s := x.s
	s.exchange = nil
	id := x.got.Identity
	described := s.describe(id)
	if !s.hold(described) {
		s.auth(id, replyTooManyOfIdentity, nil)
		return engineError(replyTooManyOfIdentity)
	}
	s.identity, s.login, s.by = described, *x.got, x.by
	s.loggedIn, s.failures, s.waste = true, 0, 0
	s.srv.penalties.forgive(s.addr, id.Name)
	s.auth(id, replyLoggedIn, nil)
	return nil
}

// failed answers a login that didn't succeed. Wrong credentials cost time, more
// each time; a back end that is down (4yz) is not the client's fault.
func (x *exchange) failed(err error) *smtp.SMTPError {
	s := x.s
	s.exchange = nil
	r := s.replyOf(err, mail.Reply{Code: 454, Enhanced: mail.EnhancedCode{4, 7, 0}, Text: "Login is not possible at present, try again later"})
	s.auth(mail.Identity{Name: x.user, Mechanism: x.mechanism}, r, causeOf(err, "AUTH"))
	if r.Code != 535 {
		s.wasted(wasteError)
		return engineError(r)
	}
	s.failures++
	delay := s.srv.penalties.failed(s.addr, x.user, s.failures, time.Now())
	_ = s.out.flush()
	pause(s.srv.ctx.Done(), delay)
	if s.failures >= s.set.maxFailures {
		s.out.reply(r)
		return engineError(replyTooManyFailures)
	}
	return engineError(r)
}

// pause waits for d, or until stop.
func pause(stop <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-stop:
	}
}

// auth records how a login ended.
func (s *session) auth(id mail.Identity, r mail.Reply, err error) {
	s.srv.record(mail.Event{
		Kind: mail.EventAuth, Time: time.Now(), Identity: id.Name, Mechanism: id.Mechanism,
		Listener: s.lst.name, Host: s.helo, Address: addrPort(s.remote), TLS: mail.TLSName(s.tls),
		Reply: r, Err: err,
	})
}

// claimedUser reads the user's name, and nothing else, off what a client sends.
// It proves nothing.
func claimedUser(mechanism string, step int, response []byte) string {
	const most = 255
	var user string
	switch {
	case step != 1:
		return ""
	case mechanism == "PLAIN": // authzid NUL authcid NUL password (RFC 4616 2)
		fields := strings.Split(string(response), "\x00")
		if len(fields) == 3 {
			user = fields[1]
		}
	case mechanism == "LOGIN":
		user = string(response)
	case strings.HasPrefix(mechanism, "SCRAM-"): // gs2-header n=user,r=nonce (RFC 5802 7)
		for attribute := range strings.SplitSeq(string(response), ",") {
			if name, ok := strings.CutPrefix(attribute, "n="); ok {
				user = name
				break
			}
		}
	}
	if len(user) > most {
		user = user[:most]
	}
	return oneLine(strings.ToValidUTF8(user, "?"))
}
