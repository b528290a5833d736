package submission

import (
	"strconv"
	"strings"

	"github.com/emersion/go-smtp"

	"github.com/postrider/postrider/internal/mail"
)

// What the front end says by itself. Texts are for the person who reads a
// client's log.
var (
	replyShutdown           = reply(421, mail.EnhancedCode{4, 3, 2}, "Shutting down, try again later")
	replyRetired            = reply(421, mail.EnhancedCode{4, 3, 2}, "Configuration has changed, connect again")
	replyTooManyConnections = reply(421, mail.EnhancedCode{4, 3, 2}, "Too many connections, try again later")
	replyTooManyFromAddress = reply(421, mail.EnhancedCode{4, 7, 0}, "Too many connections from your address, try again later")
	replyTooManyOfIdentity  = reply(421, mail.EnhancedCode{4, 7, 0}, "Too many connections of this user, try again later")
	replyTimeout            = reply(421, mail.EnhancedCode{4, 4, 2}, "Timeout, closing connection")
	replySessionTimeout     = reply(421, mail.EnhancedCode{4, 4, 2}, "Session lasted too long, closing connection")
	replyConnectionLost     = reply(421, mail.EnhancedCode{4, 4, 2}, "Connection lost")
	replyInternal           = reply(421, mail.EnhancedCode{4, 3, 0}, "Internal error, closing connection; nothing was accepted")
	replyNoProgress         = reply(421, mail.EnhancedCode{4, 7, 0}, "Too many commands without a message, closing connection")
	replyTooManyFailures    = reply(421, mail.EnhancedCode{4, 7, 0}, "Too many failed logins, closing connection")
	replyNotHTTP            = reply(421, mail.EnhancedCode{4, 7, 0}, "This is an SMTP server, closing connection")
	replyPipelinedContent   = reply(421, mail.EnhancedCode{4, 7, 0}, "Content was sent although it had not been asked for, closing connection")

	replyLineTooLong  = reply(500, mail.EnhancedCode{5, 5, 2}, "Line too long")
	replyBareNewline  = reply(500, mail.EnhancedCode{5, 5, 2}, "Commands must end in CR LF; a CR or LF alone ends nothing")
	replyControl      = reply(500, mail.EnhancedCode{5, 5, 2}, "Control or 8-bit character in command")
	replyNoCommand    = reply(500, mail.EnhancedCode{5, 5, 2}, "Empty command")
	replyUnknown      = reply(500, mail.EnhancedCode{5, 5, 1}, "Command not recognized, try HELP")
	replyDisabled     = reply(502, mail.EnhancedCode{5, 5, 1}, "Command not implemented")
	replyVerifySyntax = reply(501, mail.EnhancedCode{5, 5, 4}, "Syntax: VRFY address")
	replyNoArguments  = reply(501, mail.EnhancedCode{5, 5, 4}, "Command takes no argument")
	replyHelloFirst   = reply(503, mail.EnhancedCode{5, 5, 1}, "Send EHLO first")
	replyHelloName    = reply(501, mail.EnhancedCode{5, 5, 4}, "Give your domain name or address literal: EHLO client.example.com")
	replyNested       = reply(503, mail.EnhancedCode{5, 5, 1}, "A transaction is running; end it, or send RSET")
	replyMailFirst    = reply(503, mail.EnhancedCode{5, 5, 1}, "Send MAIL first")
	replyRcptFirst    = reply(503, mail.EnhancedCode{5, 5, 1}, "Send RCPT first")
	replyNoValidRcpt  = reply(554, mail.EnhancedCode{5, 5, 1}, "No valid recipients")
	replyChunksRun    = reply(503, mail.EnhancedCode{5, 5, 1}, "Not between the chunks of a message; send BDAT or RSET")
	replyChunkSyntax  = reply(501, mail.EnhancedCode{5, 5, 4}, "Syntax: BDAT octets [LAST]; closing connection")
	replyAuthRequired = reply(530, mail.EnhancedCode{5, 7, 0}, "Authentication required: log in with AUTH before MAIL")
	replyTLSRequired  = reply(530, mail.EnhancedCode{5, 7, 0}, "Encryption required: send STARTTLS first")
	replyAuthNeedsTLS = reply(538, mail.EnhancedCode{5, 7, 11}, "Encryption required for this login: send STARTTLS first")
	replyAuthNoTLS    = reply(538, mail.EnhancedCode{5, 7, 11}, "Login is not possible here without encryption")
	replyAuthTwice    = reply(503, mail.EnhancedCode{5, 5, 1}, "Already authenticated")
	replyAuthSyntax   = reply(501, mail.EnhancedCode{5, 5, 4}, "Syntax: AUTH mechanism [initial-response]")
	replyMechanism    = reply(504, mail.EnhancedCode{5, 5, 4}, "Authentication mechanism not offered")
	replyBase64       = reply(501, mail.EnhancedCode{5, 5, 2}, "Not base64, login cancelled")
	replyAuthTooLong  = reply(500, mail.EnhancedCode{5, 5, 6}, "Authentication line too long, login cancelled")
	replyAuthCancel   = reply(501, mail.EnhancedCode{5, 7, 0}, "Login cancelled")
	replyTLSActive    = reply(503, mail.EnhancedCode{5, 5, 1}, "TLS is active already")
	replyTLSOff       = reply(502, mail.EnhancedCode{5, 5, 1}, "TLS is not offered here")
	replyTLSMissing   = reply(454, mail.EnhancedCode{4, 7, 0}, "TLS is not available at present")
	replyVerify       = reply(252, mail.EnhancedCode{2, 5, 0}, "Cannot verify, but will take a message for it and try to deliver it")

	replyStartTLS  = reply(220, mail.EnhancedCode{2, 0, 0}, "Go ahead with TLS")
	replyOK        = reply(250, mail.EnhancedCode{2, 0, 0}, "OK")
	replyReset     = reply(250, mail.EnhancedCode{2, 0, 0}, "Transaction forgotten")
	replyLoggedIn  = reply(235, mail.EnhancedCode{2, 7, 0}, "Authentication successful")
	replyBye       = reply(221, mail.EnhancedCode{2, 0, 0}, "Bye")
	replySender    = reply(250, mail.EnhancedCode{2, 1, 0}, "Sender OK")
	replyRecipient = reply(250, mail.EnhancedCode{2, 1, 5}, "Recipient OK")
	replyGoAhead   = mail.Reply{Code: 354, Text: "Send the message, end it with CR LF . CR LF"}

	replyHelp = reply(214, mail.EnhancedCode{2, 0, 0}, "Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT\n"+
		"RSET NOOP VRFY HELP QUIT\nDocumentation: https://github.com/postrider/postrider")
)

// Why content is refused.
var (
	errBareNewline = mail.Errorf(550, mail.EnhancedCode{5, 6, 0}, "Message holds a CR or LF alone; lines must end in CR LF")
	errNUL         = mail.Errorf(550, mail.EnhancedCode{5, 6, 0}, "Message holds a NUL character")
	errLoop        = mail.Errorf(554, mail.EnhancedCode{5, 4, 6}, "Mail loop detected: more than %d Received fields", maxReceived)
	errNotStored   = mail.Errorf(451, mail.EnhancedCode{4, 3, 0}, "Message could not be stored, try again later")
	errNotNow      = mail.Errorf(451, mail.EnhancedCode{4, 3, 0}, "Temporary failure, try again later")
)

func reply(code int, enhanced mail.EnhancedCode, text string) mail.Reply {
	return mail.Reply{Code: code, Enhanced: enhanced, Text: text}
}

// appendReply writes a reply as it goes over the wire, with the enhanced code on
// each line (RFC 2034 4).
// Lines of the text are separated by "\n".
func appendReply(b []byte, r mail.Reply) []byte {
	for text, more := r.Text, true; more; {
		var line string
		line, text, more = strings.Cut(text, "\n")
		b = strconv.AppendInt(b, int64(r.Code), 10)
		if more {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if e := r.Enhanced; e != (mail.EnhancedCode{}) {
			b = strconv.AppendInt(b, int64(e[0]), 10)
			b = append(b, '.')
			b = strconv.AppendInt(b, int64(e[1]), 10)
			b = append(b, '.')
			b = strconv.AppendInt(b, int64(e[2]), 10)
			b = append(b, ' ')
		}
		b = append(b, line...)
		b = append(b, "\r\n"...)
	}
	return b
}

// engineError turns a refusal into what go-smtp sends word for word. It must be
// exactly this type: go-smtp looks through no wrapping.
func engineError(r mail.Reply) *smtp.SMTPError {
	return &smtp.SMTPError{Code: r.Code, EnhancedCode: smtp.EnhancedCode(r.Enhanced), Message: r.Text}
}

// oneLine makes a text fit for one reply line (RFC 5321 4.5.3.1.5).
func oneLine(s string) string {
	const most = 480
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
