package submission

import (
	"errors"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
)

// transaction is what MAIL began, until the end of the data or RSET.
type transaction struct {
	envelope *mail.Envelope
	// judge stays the same for the transaction, whatever a reload does.
	judge    policy.Judge
	limit    int64                       // most octets of content; 0 for no limit
	tried    int                         // RCPT commands, accepted or not
	named    map[mail.Recipient]struct{} // its recipients, from the second RCPT on
	incoming Incoming
}

// forget ends the transaction, if there is one, and keeps nothing of it.
func (s *session) forget() {
	if s.tx != nil && s.tx.incoming != nil {
		s.tx.incoming.Discard()
	}
	s.tx, s.chunks = nil, nil
}

// known reports whether the client has an identity, and asks for that of the
// calling process where the listener says so. It answers if there is none.
func (s *session) known() bool {
	if s.identity != nil {
		return s.renewed()
	}
	if s.lst.conf.Auth != config.AuthPeer || s.srv.opt.Authenticator == nil {
		s.decline(replyAuthRequired)
		return false
	}
	by := s.srv.opt.Authenticator()
	l, err := by.Peer(s.srv.ctx, &s.client)
	if err != nil {
		r := s.replyOf(err, errNotNow.Reply)
		s.auth(mail.Identity{Mechanism: "peer"}, r, err)
		s.refuse(r)
		return false
	}
	s.identity, s.login, s.by = s.describe(l.Identity), l, by
	if !s.hold(s.identity) {
		s.rejected(replyTooManyOfIdentity)
		s.end(replyTooManyOfIdentity)
		return false
	}
	s.auth(l.Identity, replyLoggedIn, nil)
	return true
}

// renewed has the identity follow the users and groups in force, and reports whether
// there still is one. It answers if not.
func (s *session) renewed() bool {
	if s.by == nil { // the identity is the listener's
		return true
	}
	now := s.srv.opt.Authenticator()
	if now == s.by {
		return true
	}
	id, err := now.Renew(s.srv.ctx, &s.client, s.login)
	if err != nil {
		s.refuse(s.refusal(err, "MAIL", nil, nil)) // a 421 is the session's last
		return false
	}
	s.identity, s.by = s.describe(id), now
	return true
}

// hold counts the session for its identity, unless that has too many.
func (s *session) hold(id *mail.Identity) bool {
	limit := s.set.limits.MaxConnectionsPerIdentity
	if j := s.judge(); j != nil {
		limit = least(limit, j.Connections(id))
	}
	if !s.srv.users.join(id.Name, limit) {
		return false
	}
	s.release()
	s.holds = id.Name
	return true
}

// release undoes hold.
func (s *session) release() {
	if s.holds != "" {
		s.srv.users.quit(s.holds)
		s.holds = ""
	}
}

// judge returns the rules in force; nil if there are none.
func (s *session) judge() policy.Judge {
	if s.srv.opt.Judge == nil {
		return nil
	}
	return s.srv.opt.Judge()
}

// limits returns the size and number of recipients a message may have.
func (s *session) limits(j policy.Judge) (size int64, recipients int) {
	size, recipients = int64(s.set.limits.MaxMessageSize), s.set.limits.MaxRecipients
	if j != nil && s.identity != nil {
		z, n := j.Limits(s.identity)
		size, recipients = least(size, z), least(recipients, n)
	}
	return size, recipients
}

// least returns the smaller of two limits, of which zero is none.
func least[T int | int64](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Mail begins a transaction. What the client sent has been parsed into s.sender;
// the engine's rendering of it is not looked at.
func (s *session) Mail(string, *smtp.MailOptions) (err error) {
	defer s.caught(&err)
	a := &s.sender
	j := s.judge()
	if most := int64(s.set.limits.MaxMessageSize); most > 0 && a.size > most {
		return s.refuseMail(tooBig(most), a.from)
	}
	if j != nil {
		if err := j.Sender(s.identity, a.from, a.size); err != nil {
			return s.refuseMail(err, a.from)
		}
	}
	size, _ := s.limits(j)
	s.tx = &transaction{
		judge: j, limit: size,
		envelope: &mail.Envelope{
			From: a.from, Identity: *s.identity, Body: a.body, SMTPUTF8: a.utf8,
			RequireTLS: a.requireTLS, Return: a.ret, EnvelopeID: a.envid,
		},
	}
	return nil
}

// Rcpt adds s.recipient to the transaction. Who is in it already, to the letter, gets
// no second copy.
func (s *session) Rcpt(string, *smtp.RcptOptions) (err error) {
	defer s.caught(&err)
	e := s.tx.envelope
	rcpt := s.recipient
	if s.tx.names(rcpt) {
		s.surplus()
		return nil
	}
	if n := s.set.limits.MaxRecipients; n > 0 && len(e.Recipients) >= n {
		return engineError(s.refuseRcpt(mail.Errorf(452, mail.EnhancedCode{4, 5, 3},
			"Too many recipients: at most %d in one message; send the others in another", n), rcpt.Address))
	}
	if s.tx.judge != nil {
		if err := s.tx.judge.Recipient(s.identity, rcpt.Address, len(e.Recipients)); err != nil {
			return engineError(s.refuseRcpt(err, rcpt.Address))
		}
	}
	e.Recipients = append(e.Recipients, rcpt)
	if s.tx.named != nil {
		s.tx.named[rcpt] = struct{}{}
	}
	return nil
}

// names reports whether rcpt is a recipient already. Most messages have one, which
// costs nothing.
func (t *transaction) names(rcpt mail.Recipient) bool {
	if len(t.envelope.Recipients) == 0 {
		return false
	}
	if t.named == nil {
		t.named = make(map[mail.Recipient]struct{})
		for _, r := range t.envelope.Recipients {
			t.named[r] = struct{}{}
		}
	}
	_, twice := t.named[rcpt]
	return twice
}

func (s *session) refuseMail(err error, from mail.Path) error {
	s.wasted(wasteNothing)
	return engineError(s.refusal(err, "MAIL", &from, nil))
}

// maxSurplus is how many times the most recipients a transaction may name. A client
// with a list that is too long is to hear 452 for the rest of it, and then to send
// the message to the first (RFC 5321 4.5.3.1.10).
const maxSurplus = 20

// refuseRcpt refuses one recipient of a list, for whatever reason. The address is not
// known if that is how it is written.
func (s *session) refuseRcpt(err error, to ...mail.Address) mail.Reply {
	s.surplus()
	return s.refusal(err, "RCPT", &s.tx.envelope.From, to)
}

// surplus counts a RCPT that adds nobody as waste, once there were more than even a
// long list may hold.
func (s *session) surplus() {
	most := s.set.limits.MaxRecipients
	if len(s.tx.envelope.Recipients) > 0 {
		most *= maxSurplus
	}
	if s.tx.tried > most {
		s.wasted(wasteNothing)
	}
}

// refusal records why a command of a transaction is refused, and returns the
// reply. Errors that are not meant for clients become a 451.
func (s *session) refusal(err error, command string, from *mail.Path, to []mail.Address) mail.Reply {
	r := s.replyOf(err, errNotNow.Reply)
	event := mail.Event{
		Kind: mail.EventRejected, Time: time.Now(), Identity: s.identity.Name, Listener: s.lst.name,
		From: from, To: to, Host: s.helo, Address: addrPort(s.remote), TLS: mail.TLSName(s.tls), Reply: r,
		Err: causeOf(err, command),
	}
	if s.tx != nil {
		event.ID, event.MessageID = s.tx.envelope.ID, s.tx.envelope.MessageID
	}
	s.srv.record(event)
	return r
}

// replyOf returns the reply in err, or fallback.
func (s *session) replyOf(err error, fallback mail.Reply) mail.Reply {
	r := mail.ReplyOf(err, fallback)
	if r.Code < 400 || r.Code > 599 {
		return fallback // an error is never good news
	}
	r.Text = oneLine(r.Text)
	return r
}

// causeOf returns what the operator should know of err beyond the reply.
func causeOf(err error, command string) error {
	var e *mail.Error
	if errors.As(err, &e) && e.Cause == nil {
		return nil
	}
	return &commandError{command, err}
}

// commandError says which command failed.
type commandError struct {
	command string
	err     error
}

func (e *commandError) Error() string { return e.command + ": " + e.err.Error() }
func (e *commandError) Unwrap() error { return e.err }

func tooBig(limit int64) error {
	return mail.Errorf(552, mail.EnhancedCode{5, 3, 4}, "Message too big: at most %d octets", limit)
}
