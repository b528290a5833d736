package eventlog

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// The Postfix format is for tools that read Postfix's log (with their
// --syslog-name set to "postrider"): one line for each recipient, the words
// sent, deferred and bounced, and the daemons' names after the slash.

// syslog writes what stands before each line: time, host and program.
func (l *Log) syslog(ln *line, t time.Time, program string) {
	ln.b = t.AppendFormat(ln.b, time.Stamp)
	ln.b = append(append(ln.b, ' '), l.host...)
	ln.b = append(append(ln.b, ' '), program...)
	ln.b = append(strconv.AppendInt(append(ln.b, '['), int64(l.pid), 10), "]: "...)
}

// recordPostfix writes the lines of one event.
func (l *Log) recordPostfix(e *mail.Event) {
	put := func(program, text string) {
		l.write(formatPostfix, func(ln *line) {
			l.syslog(ln, e.Time, "postrider/"+program)
			ln.b = append(ln.b, singleLine(text)...)
		})
	}
	id := "NOQUEUE"
	if !e.ID.IsZero() {
		id = e.ID.String()
	}
	from := ""
	if e.From != nil && !e.From.IsNull() {
		from = e.From.Address.String()
	}
	switch e.Kind {
	case mail.EventConnect:
		put("smtpd", "connect from "+postfixClient(e))
	case mail.EventAuth:
		if e.Reply.Code >= 400 {
			put("smtpd", "warning: "+postfixClient(e)+": SASL "+e.Mechanism+" authentication failed: "+e.Reply.Text)
		}
	case mail.EventAccepted:
		put("smtpd", id+": client="+postfixClient(e)+", sasl_method="+e.Mechanism+", sasl_username="+e.Identity)
		put("cleanup", id+": message-id="+e.MessageID)
		put("qmgr", id+": from=<"+from+">, size="+strconv.FormatInt(e.Size, 10)+
			", nrcpt="+strconv.Itoa(len(e.To))+" (queue active)")
	case mail.EventRejected:
		to := ""
		if len(e.To) > 0 {
			to = " to=<" + e.To[0].String() + ">"
		}
		put("smtpd", id+": reject: from "+postfixClient(e)+": "+e.Reply.String()+"; from=<"+from+">"+to)
	case mail.EventDelivered, mail.EventDeferred, mail.EventBounced, mail.EventExpired:
		for _, to := range e.To {
			put("smtp", id+": to=<"+to.String()+">, "+postfixOutcome(e))
		}
	default:
		put("qmgr", id+": "+string(e.Kind))
	}
}

// postfixClient names a client. Postfix puts the name there that it found for the
// address and verified; we look none up. What the client calls itself must not
// stand in that place: tools that ban take the address from behind it.
func postfixClient(e *mail.Event) string { return postfixPeer("unknown", e.Address) }

func postfixPeer(host string, address netip.AddrPort) string {
	if !address.IsValid() {
		return host
	}
	return host + "[" + address.Addr().String() + "]"
}

// postfixOutcome writes what follows the recipient: relay, delay, code, status
// and the reason in brackets.
func postfixOutcome(e *mail.Event) string {
	relay := "none"
	if e.Host != "" {
		relay = postfixPeer(e.Host, e.Address)
		if e.Address.IsValid() {
			relay += ":" + strconv.Itoa(int(e.Address.Port()))
		}
	}
	status, class := "deferred", 4
	switch e.Kind {
	case mail.EventDelivered:
		status, class = "sent", 2
	case mail.EventBounced, mail.EventExpired:
		status, class = "bounced", 5
	}
	code := e.Reply.Enhanced
	if code == (mail.EnhancedCode{}) {
		code = mail.EnhancedCode{class, 0, 0}
	}
	reason := e.Reply.String()
	switch {
	case e.Reply.Code == 0 && e.Err != nil:
		reason = e.Err.Error()
	case e.Host != "" && e.Kind != mail.EventDelivered:
		reason = "host " + postfixPeer(e.Host, e.Address) + " said: " + reason
	}
	var b strings.Builder
	b.WriteString("relay=" + relay + ", delay=")
	b.Write(appendFraction(nil, e.Delay.Seconds()))
	b.WriteString(", dsn=" + code.String() + ", status=" + status + " (" + reason + ")")
	return b.String()
}
