package submission

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/postrider/postrider/internal/mail"
)

// senderArgs is what a MAIL command says.
type senderArgs struct {
	from       mail.Path
	size       int64 // 0: not said
	body       mail.Body
	utf8       bool
	requireTLS bool
	ret        mail.Return
	envid      string
}

// mailCommand checks MAIL and passes it on.
func (s *session) mailCommand(arg string) string {
	if s.tx != nil {
		s.refuse(replyNested)
		return ""
	}
	if !s.ready() {
		return ""
	}
	s.refresh()
	rest, ok := cutFold(arg, "FROM:")
	if !ok {
		s.decline(reply(501, mail.EnhancedCode{5, 5, 4}, "Syntax: MAIL FROM:<address> [parameters]"))
		return ""
	}
	path, params, err := cutPath(rest)
	if err == nil {
		s.sender = senderArgs{}
		s.sender.from, err = mail.ParsePath(path)
	}
	if err == nil && s.sender.from.Domain.IsZero() && !s.sender.from.IsNull() {
		err = mail.ErrNoDomain
	}
	if err != nil {
		s.decline(reply(501, mail.EnhancedCode{5, 1, 7}, "Bad sender: "+err.Error()))
		return ""
	}
	if e := s.senderParams(params); e != nil {
		s.decline(e.Reply)
		return ""
	}
	if !s.sender.utf8 && !mail.IsASCII(path) {
		s.decline(reply(550, mail.EnhancedCode{5, 6, 7}, "Sender needs the SMTPUTF8 parameter"))
		return ""
	}
	s.out.expect(answerSender)
	return "MAIL FROM:" + s.sender.from.String() + "\r\n"
}

// rcptCommand checks RCPT and passes it on.
func (s *session) rcptCommand(arg string) string {
	if s.tx == nil {
		s.refuse(s.missing(replyMailFirst))
		return ""
	}
	s.tx.tried++
	if e := s.parseRecipient(arg); e != nil {
		s.out.reply(s.refuseRcpt(e))
		return ""
	}
	s.out.expect(answerRecipient)
	return "RCPT TO:" + mail.Path{Address: s.recipient.Address}.String() + "\r\n"
}

// parseRecipient reads what a RCPT command says.
func (s *session) parseRecipient(arg string) *mail.Error {
	rest, ok := cutFold(arg, "TO:")
	if !ok {
		return mail.Errorf(501, mail.EnhancedCode{5, 5, 4}, "Syntax: RCPT TO:<address> [parameters]")
	}
	path, params, err := cutPath(rest)
	var to mail.Path
	if err == nil {
		to, err = mail.ParsePath(path)
	}
	if err == nil && to.IsNull() {
		err = errNullRecipient
	}
	if err != nil {
		return mail.Errorf(501, mail.EnhancedCode{5, 1, 3}, "Bad recipient: %v", err)
	}
	if to.Domain.IsZero() {
		to.Domain = s.set.trace.domain // <postmaster> is ours (RFC 5321 4.5.1)
	}
	s.recipient = mail.Recipient{Address: to.Address}
	if e := s.recipientParams(params); e != nil {
		return e
	}
	if !s.tx.envelope.SMTPUTF8 && !mail.IsASCII(path) {
		return mail.Errorf(553, mail.EnhancedCode{5, 6, 7}, "Recipient needs the SMTPUTF8 parameter of MAIL")
	}
	return nil
}

var (
	errNullRecipient = errors.New("a recipient can't be empty")
	errNoBrackets    = errors.New("an address stands in angle brackets: <user@example.com>")
)

// missing returns why a command of a transaction comes too early: because the
// client hasn't even logged in, or r.
func (s *session) missing(r mail.Reply) mail.Reply {
	if s.helo == "" {
		return replyHelloFirst
	}
	return r
}

// senderParams reads the parameters of MAIL.
func (s *session) senderParams(params string) *mail.Error {
	a := &s.sender
	return eachParam(params, func(key, value string, has bool) *mail.Error {
		switch key {
		case "SIZE":
			return parseSize(value, &a.size)
		case "BODY":
			switch strings.ToUpper(value) {
			case "7BIT":
				a.body = mail.Body7Bit
			case "8BITMIME":
				a.body = mail.Body8BitMIME
			default:
				return badParam("BODY is 7BIT or 8BITMIME")
			}
		case "SMTPUTF8":
			a.utf8 = true
			return noValue(key, has)
		case "REQUIRETLS":
			if s.tls == nil {
				return mail.Errorf(555, mail.EnhancedCode{5, 5, 4}, "REQUIRETLS needs a session with TLS")
			}
			a.requireTLS = true
			return noValue(key, has)
		case "RET":
			switch strings.ToUpper(value) {
			case "FULL":
				a.ret = mail.ReturnFull
			case "HDRS":
				a.ret = mail.ReturnHeaders
			default:
				return badParam("RET is FULL or HDRS")
			}
		case "ENVID":
			id, ok := mail.ParseXtext(value)
			if !ok || len(value) > maxEnvid {
				return badParam("ENVID is xtext of at most 100 characters")
			}
			a.envid = id
		case "AUTH":
			// Whom the client submits for is only believed of trusted relays
			// (RFC 4954 5); we know none, so it is as if it said <>.
			if _, ok := mail.ParseXtext(value); !ok {
				return badParam("AUTH is an address in xtext, or <>")
			}
		default:
			return unknownParam("MAIL", key)
		}
		return nil
	})
}

// recipientParams reads the parameters of RCPT.
func (s *session) recipientParams(params string) *mail.Error {
	r := &s.recipient
	return eachParam(params, func(key, value string, _ bool) *mail.Error {
		switch key {
		case "NOTIFY":
			notify, ok := parseNotify(value)
			if !ok {
				return badParam("NOTIFY is NEVER, or a list of SUCCESS, FAILURE, DELAY")
			}
			r.Notify = notify
		case "ORCPT":
			kind, address, ok := parseOriginal(value)
			if !ok {
				return badParam("ORCPT is type;address in xtext, of at most 500 characters")
			}
			r.OriginalType, r.Original = kind, address
		default:
			return unknownParam("RCPT", key)
		}
		return nil
	})
}

// cutPath splits "<path> parameters". Space before the path is an error of old
// clients that harms nobody.
func cutPath(s string) (path, params string, err error) {
	s = strings.TrimLeft(s, " ")
	if !strings.HasPrefix(s, "<") {
		return "", "", errNoBrackets
	}
	quoted := false
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == '>' && !quoted:
			if params = s[i+1:]; params != "" && params[0] != ' ' {
				return "", "", mail.ErrSyntax
			}
			return s[:i+1], params, nil
		}
	}
	return "", "", mail.ErrSyntax
}

// parseSize reads SIZE (RFC 1870 4): up to 20 digits.
func parseSize(value string, size *int64) *mail.Error {
	if value == "" || len(value) > 20 || strings.Trim(value, "0123456789") != "" {
		return badParam("SIZE is a number of octets")
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		n = math.MaxInt64 // more than anybody takes
	}
	*size = n
	return nil
}

// cutFold is strings.CutPrefix for keywords in any case.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
