package submission

import (
	"strings"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/config"
)

// Limits on lines, in octets without CR LF. A command may be longer than RFC
// 5321 4.5.3.1.4 says because extensions add parameters; AUTH has its own bound
// (RFC 4954 4).
const (
	maxLine     = 2048
	maxAuthLine = 12288
)

// command acts on one command. It answers by itself, or returns a line for the
// engine; the engine's answer is then what the session's methods or s.out's
// expectations make of it.
func (s *session) command(line string) string {
	verb, arg := split(line)
	switch {
	case len(line) > maxLine && (verb != "AUTH" || len(line) > maxAuthLine):
		s.decline(replyLineTooLong)
		return ""
	case strings.ContainsAny(line, "\r\n"):
		s.decline(replyBareNewline)
		return ""
	case !clean(line, verb == "MAIL" || verb == "RCPT"):
		s.refuse(replyControl)
		return ""
	}
	if s.chunks != nil && !betweenChunks(verb) {
		s.refuse(replyChunksRun)
		return ""
	}
	switch verb {
	case "EHLO", "HELO":
		return s.hello(verb, arg)
	case "MAIL":
		return s.mailCommand(arg)
	case "RCPT":
		return s.rcptCommand(arg)
	case "DATA":
		return s.dataCommand(arg)
	case "BDAT":
		return s.bdatCommand(arg)
	case "AUTH":
		return s.authCommand(arg)
	case "STARTTLS":
		return s.startTLS(arg)
	case "RSET":
		return s.reset(arg)
	case "QUIT":
		return s.quit(arg)
	}
	s.other(verb, arg)
	return ""
}

// other answers what never concerns the engine.
func (s *session) other(verb, arg string) {
	switch verb {
	case "NOOP":
		s.out.reply(replyOK) // its argument means nothing (RFC 5321 4.1.1.9)
		s.wasted(wasteNothing)
	case "HELP":
		s.out.reply(replyHelp)
		s.wasted(wasteNothing)
	case "VRFY":
		if arg == "" {
			s.refuse(replyVerifySyntax)
			return
		}
		s.out.reply(replyVerify)
		s.wasted(wasteNothing)
	case "EXPN", "ETRN", "ATRN", "TURN", "SEND", "SOML", "SAML":
		s.refuse(replyDisabled)
	case "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "PRI":
		// A browser that a web page made talk to us. Its body may hold
		// commands; they are never looked at.
		s.expel(replyNotHTTP)
	case "":
		s.refuse(replyNoCommand)
	default:
		s.refuse(replyUnknown)
	}
}

func (s *session) reset(arg string) string {
	if arg != "" {
		s.refuse(replyNoArguments)
		return ""
	}
	s.wasted(wasteNothing)
	if s.helo == "" {
		s.out.reply(replyReset) // nothing to forget, nor an engine session to do so
		return ""
	}
	s.out.expect(answerReset)
	return "RSET\r\n"
}

func (s *session) quit(arg string) string {
	if arg != "" {
		s.refuse(replyNoArguments)
		return ""
	}
	s.out.expect(answerBye)
	return "QUIT\r\n"
}

// ready checks what must come before a transaction; it answers if that is
// missing.
func (s *session) ready() bool {
	switch {
	case s.helo == "":
		s.refuse(replyHelloFirst)
	case s.lst.conf.TLS == config.TLSRequired && s.tls == nil:
		s.decline(replyTLSRequired)
	default:
		return s.known()
	}
	return false
}

// split takes the verb, in capitals, off a command line. White space at the end
// means nothing (RFC 5321 4.1.1).
func split(line string) (verb, arg string) {
	verb, arg, _ = strings.Cut(strings.TrimRight(line, " "), " ")
	return strings.ToUpper(verb), strings.Trim(arg, " ")
}

// clean reports whether a command holds nothing but printable ASCII, or UTF-8
// where addresses may be.
func clean(line string, addresses bool) bool {
	ascii := true
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c < ' ' || c == 0x7f {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || addresses && utf8.ValidString(line)
}

// betweenChunks reports whether a command may come between the BDAT commands
// of one message (RFC 3030 2).
func betweenChunks(verb string) bool {
	switch verb {
	case "MAIL", "RCPT", "DATA", "AUTH", "STARTTLS":
		return false
	}
	return true
}

var (
	answerReset     = answer{text: string(appendReply(nil, replyReset))}
	answerBye       = answer{text: string(appendReply(nil, replyBye))}
	answerSender    = answer{text: string(appendReply(nil, replySender))}
	answerRecipient = answer{text: string(appendReply(nil, replyRecipient))}
	answerGoAhead   = answer{text: string(appendReply(nil, replyGoAhead))}
	answerLoggedIn  = answer{text: string(appendReply(nil, replyLoggedIn))}
	answerNothing   = answer{always: true}
	answerAsItIs    = answer{asItIs: true}
)
