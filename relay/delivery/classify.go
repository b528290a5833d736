package delivery

import (
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// stage is how far a session had come when something was said.
type stage uint8

// Stages, in the order they are reached. atConnect lasts from the dial to the
// answer to EHLO; atData covers DATA, BDAT and the answer to the end of the data.
const (
	atConnect stage = iota
	atTLS
	atAuth
	atMail
	atRcpt
	atData
)

var stageNames = [...]string{"connect", "tls", "auth", "mail", "rcpt", "data"}

// String returns the stage's name for people.
func (s stage) String() string { return stageNames[s] }

// situation is what a reply's meaning depends on besides its code.
type situation struct {
	smarthost  bool
	nullSender bool // the reverse-path is <>
	accepted   int  // recipients accepted earlier in the same transaction
	taken      bool // some recipient of the transaction is accepted
}

// ruling is what a reply means. It is about one recipient at RCPT, about all
// accepted ones at atData, and about all of the transaction's elsewhere.
type ruling struct {
	verdict queue.Verdict
	fault   queue.Fault
	// next: another host may be tried in the same attempt; the verdict holds if
	// there is none.
	next bool
	// over: the session has ended or is out of step; what was not answered yet
	// shares this ruling.
	over bool
	// avoid: this address is to be tried last for a while.
	avoid bool
}

// classify is the one place that decides what a next hop's reply means for the
// mail. docs/replies.md shows it as a table; a zero reply is none at all (a
// closed connection, a timeout, something that is not SMTP), which is temporary.
//
// A smarthost differs from an MX host: it is ours to configure, and a fault of
// that configuration must never bounce what waits behind it. Those are listed in
// refusesSender, refusesMore and brokenRoute. What may be one message's fault is never
// the route's: it would keep all other mail waiting.
func classify(at stage, r mail.Reply, s situation) ruling {
	if s.smarthost && refusesSender(at, r, s) {
		return ruling{verdict: queue.Defer, fault: queue.SenderRefused}
	}
	if s.smarthost && refusesMore(at, r, s) {
		return ruling{verdict: queue.Defer, fault: queue.SenderRefused, next: true}
	}
	if s.smarthost && refusesReports(at, r, s) {
		return ruling{verdict: queue.Defer, next: true}
	}
	if s.smarthost && brokenRoute(at, r) {
		next := at < atMail || at == atMail && !r.Permanent()
		return ruling{verdict: queue.Defer, fault: queue.RouteFault, next: next}
	}
	switch {
	case r.Code == 421:
		return closing(at)
	case r.Code >= 400 && r.Code < 500:
		return temporary(at, r, s)
	case r.Permanent():
		return permanent(at, r, s)
	case r.Positive() && at >= atMail:
		return ruling{verdict: queue.Success}
	}
	return silent(at)
}

// closing is for 421: the host ends the session and wants to be left alone.
func closing(at stage) ruling {
	return ruling{
		verdict: queue.Defer, fault: queue.Throttled,
		next: at < atMail, over: true, avoid: at < atMail,
	}
}

// silent is for no reply, or for one that makes no sense where it came.
func silent(at stage) ruling {
	r := ruling{verdict: queue.Defer, over: true}
	switch at {
	case atConnect, atTLS, atAuth:
		r.fault, r.next, r.avoid = queue.Unreachable, true, at == atConnect
	case atMail:
		// It was well at EHLO; all that came since is in this message's flight.
		r.fault, r.next = queue.Throttled, true
	case atRcpt:
		r.fault = queue.Throttled
	case atData:
		// The host works; it may be this message that it chokes on.
		r.fault = queue.NoFault
	}
	return r
}

// temporary is for 4yz other than 421.
func temporary(at stage, r mail.Reply, s situation) ruling {
	switch at {
	case atTLS, atAuth:
		return ruling{verdict: queue.Defer, fault: queue.Unreachable, next: true}
	case atConnect, atMail:
		return ruling{verdict: queue.Defer, fault: queue.Throttled, next: true}
	case atRcpt:
		if r.Code == 452 && s.accepted > 0 {
			return ruling{verdict: queue.Again} // RFC 5321 4.5.3.1.10: too many recipients
		}
	}
	return ruling{verdict: queue.Defer}
}

// permanent is for 5yz.
func permanent(at stage, r mail.Reply, s situation) ruling {
	switch at {
	case atConnect:
		if s.smarthost {
			return ruling{verdict: queue.Defer, fault: queue.RouteFault, next: true}
		}
		return ruling{verdict: queue.Bounce, next: true}
	case atTLS, atAuth:
		// STARTTLS refused where the route insists on TLS, or a login refused.
		return ruling{verdict: queue.Defer, fault: queue.Unreachable, next: true}
	case atRcpt:
		if r.Code == 552 && s.accepted > 0 {
			return ruling{verdict: queue.Again} // as 452, RFC 5321 4.5.3.1.10
		}
	}
	return ruling{verdict: queue.Bounce}
}

// brokenRoute reports whether a smarthost's reply tells of a fault of the route
// rather than of a message or a recipient:
//
//   - 530, 535, 538 anywhere: it wants a login, or another one (RFC 4954);
//   - any refusal of STARTTLS or AUTH but 421;
//   - a quota: 5.4.5 anywhere; 452 or 454 at MAIL, unless it is the sender's, see
//     refusesMore; 452 or 454 after the data, unless it is about an address (x.1.z)
//     or a mailbox (x.2.z, "452 4.2.2 mailbox full").
func brokenRoute(at stage, r mail.Reply) bool {
	switch r.Code {
	case 530, 535, 538:
		return true
	case 0, 421:
		return false
	}
	if r.Code < 400 {
		return false
	}
	if at == atTLS || at == atAuth {
		return true
	}
	if r.Enhanced == (mail.EnhancedCode{5, 4, 5}) {
		return true
	}
	full := r.Code == 452 || r.Code == 454
	return full && (at == atMail || at == atData && r.Enhanced[1] != 1 && r.Enhanced[1] != 2)
}

// refusesSender reports whether a smarthost's reply says that it knows us and does
// not let us use this reverse-path:
//
//   - MAIL refused for who the sender is: 550, 551, 553, 554 without enhanced code
//     or with x.7.z or 5.1.8. What is wrong with the command or the message
//     itself (5.5.z, 5.1.7, 552, 555, 5.6.z) bounces; so does a refused <>,
//     because no configuration of ours changes who sends a bounce;
//   - the same said later: 553 5.7.1 at RCPT, by servers that delay the refusal of
//     a sender to there and so take no recipient, and 5.7.60 (no permission to send
//     as this sender).
func refusesSender(at stage, r mail.Reply, s situation) bool {
	if s.nullSender || !r.Permanent() {
		return false
	}
	if at >= atMail && r.Enhanced == (mail.EnhancedCode{5, 7, 60}) {
		return true
	}
	switch at {
	case atRcpt:
		return !s.taken && r.Code == 553 && r.Enhanced == mail.EnhancedCode{5, 7, 1}
	case atMail:
	default:
		return false
	}
	switch r.Code {
	case 550, 551, 553, 554:
		return r.Enhanced == mail.EnhancedCode{} || r.Enhanced[1] == 7 ||
			r.Enhanced == mail.EnhancedCode{5, 1, 8}
	}
	return false
}

// refusesMore reports whether a smarthost's reply to MAIL tells of a quota that may
// be this sender's alone: a 4yz other than 421 and 454 that is 452, or 4.7.z, or
// speaks of a quota, a limit or of something exceeded. Whose the quota is such
// replies seldom say; the queue finds out, by what it says to other senders. Not
// meant is a smarthost in trouble (x.3.z, as in "452 4.3.1 insufficient storage").
func refusesMore(at stage, r mail.Reply, s situation) bool {
	if at != atMail || s.nullSender || r.Code < 400 || r.Permanent() || r.Code == 421 || r.Code == 454 || r.Enhanced[1] == 3 {
		return false
	}
	if r.Code == 452 || r.Enhanced[1] == 7 {
		return true
	}
	text := strings.ToLower(r.Text)
	return slices.ContainsFunc([]string{"quota", "limit", "exceeded"}, func(word string) bool { return strings.Contains(text, word) })
}

// refusesReports reports whether a smarthost's reply to MAIL FROM:<> is about such
// mail: 4.7.z, with which some hold back what may be backscatter. 454 is about a
// login.
func refusesReports(at stage, r mail.Reply, s situation) bool {
	later := r.Code >= 400 && !r.Permanent() && r.Code != 421 && r.Code != 454
	return at == atMail && s.nullSender && later && r.Enhanced[1] == 7
}
