package delivery

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// window is how many commands are sent before their replies are read, so that
// neither side can block the other with a full buffer (RFC 2920 section 3.1).
const window = 200

// maxEager is the largest content, in octets, that is sent before the replies to
// MAIL and RCPT are known. More is too much to have sent for nothing.
const maxEager = 1 << 20

// lastWords is how long is waited for the reply that explains why a host closed
// the connection while we were writing.
const lastWords = 2 * time.Second

// Faults of a conversation; the connection is of no further use.
var (
	errClosing = errors.New("host closes the session")
	// errOutOfStep: the host has answered something that was not asked, so that none
	// of its replies may mean what it seems to.
	errOutOfStep = errors.New("reply does not fit its command")
)

// exchange is one transaction: what is sent, and what was said to it. It judges
// nothing.
type exchange struct {
	s          *session
	envelope   *mail.Envelope
	recipients []int // into envelope.Recipients
	todo       []int // the same in the results of the attempt
	// without are the results of those that the attempt is about and the exchange is
	// not; see leave.
	without  map[int]queue.Result
	body     *body
	utf8     bool
	probe    bool // ends before the content
	lockstep bool // one command at a time, see suspects
	timeouts *Timeouts
	phases   *phases

	// answers are the reply to MAIL and those to RCPT, as far as they came.
	answers  []mail.Reply
	accepted int // recipients
	// final is the reply to the end of the data, or to a DATA that was refused.
	// It is zero if it never came to that.
	final mail.Reply
	// sent says that all of the content has left, with its end.
	sent bool
	// lost is why the connection is of no further use; nil if it is.
	lost error

	awaited int // commands whose replies have not been read
	ignored int // of these, the first that belong to RSET
}

// run sends the transaction and reads the replies.
func (x *exchange) run() {
	start := time.Now()
	x.s.until = start.Add(x.timeouts.transaction(x.body.size))
	x.answers = make([]mail.Reply, 0, len(x.recipients)+1)
	x.lost = x.converse(&start)
	x.phases.add("data", start)
	x.s.messages++
	x.s.lost = x.s.lost || x.lost != nil
}

// converse says MAIL, RCPT and the content in as few flights as the host allows.
func (x *exchange) converse(start *time.Time) error {
	s := x.s
	if err := x.commands(); err != nil {
		return err
	}
	if x.probe {
		s.over = true
		return x.sync(start)
	}
	if s.offers.chunking && s.eager() && !x.lockstep && x.body.size <= maxEager && len(x.recipients) < window {
		return x.chunk(start)
	}
	if s.offers.chunking || !x.pipelines() {
		if err := x.sync(start); err != nil {
			return err
		}
		if err := x.inStep(); err != nil {
			return err
		}
		if x.accepted == 0 {
			s.reset = x.begun()
			return nil
		}
		if s.offers.chunking {
			return x.chunk(start)
		}
	}
	return x.data(start)
}

// commands puts MAIL and all RCPT, without waiting for replies where the host
// offers PIPELINING.
func (x *exchange) commands() error {
	s := x.s
	if s.reset {
		s.reset = false
		if err := s.put("RSET\r\n"); err != nil {
			return err
		}
		x.awaited, x.ignored = 1, 1
	}
	var line [512]byte
	if err := x.command(appendMail(line[:0], x.envelope, x.body, x.utf8, &s.offers)); err != nil {
		return err
	}
	for _, i := range x.recipients {
		if len(x.answers) > 0 && !x.begun() {
			return nil
		}
		if err := x.command(appendRcpt(line[:0], &x.envelope.Recipients[i], &s.offers)); err != nil {
			return err
		}
	}
	return nil
}

func (x *exchange) command(line []byte) error {
	if err := x.s.putBytes(line); err != nil {
		return x.explain(err)
	}
	x.awaited++
	if x.pipelines() && x.awaited < window {
		return nil
	}
	if err := x.replies(); err != nil {
		return err
	}
	return x.inStep()
}

// pipelines reports whether commands are sent before the replies to those before
// them have come.
func (x *exchange) pipelines() bool { return x.s.offers.pipelining && !x.lockstep }

// begun reports whether MAIL was accepted.
func (x *exchange) begun() bool { return len(x.answers) > 0 && x.answers[0].Positive() }

// sync is replies, and the end of the phase that "mail" measures.
func (x *exchange) sync(start *time.Time) error {
	err := x.replies()
	x.phases.add("mail", *start)
	*start = time.Now()
	return err
}

// replies sends what is buffered and reads the replies to all commands.
func (x *exchange) replies() error {
	if err := x.s.flush(); err != nil {
		return x.explain(err)
	}
	return x.read(x.timeouts.Mail, x.timeouts.Recipient)
}

// inStep returns errOutOfStep if the host has said more than it was asked, once
// everything that was asked has been answered.
func (x *exchange) inStep() error {
	if x.s.surplus() {
		return errOutOfStep
	}
	return nil
}

func (x *exchange) read(forMail, forRcpt time.Duration) error {
	for ; x.awaited > 0; x.awaited-- {
		limit := forRcpt
		if len(x.answers) == 0 {
			limit = forMail
		}
		reply, err := x.s.wire.reply(limit)
		if err != nil {
			return err
		}
		if x.ignored > 0 && reply.Code != 421 {
			x.ignored--
			if !reply.Positive() {
				return errOutOfStep
			}
			continue
		}
		if len(x.answers) > 0 && reply.Positive() && x.begun() {
			x.accepted++
		}
		x.answers = append(x.answers, reply)
		if reply.Code == 421 {
			return errClosing
		}
	}
	return nil
}

// chunk sends the content as one BDAT (RFC 3030), together with commands that have
// not been sent yet.
func (x *exchange) chunk(start *time.Time) error {
	s := x.s
	ahead := x.awaited > 0 // content leaves before the recipients are known
	if err := s.put("BDAT " + strconv.FormatInt(x.body.size, 10) + " LAST\r\n"); err != nil {
		return x.explain(err)
	}
	if err := s.putCounted(x.body); err != nil {
		return x.explain(err)
	}
	if err := s.flush(); err != nil {
		return x.explain(err)
	}
	x.sent = true
	if ahead {
		if err := x.sync(start); err != nil {
			return err
		}
	}
	reply, err := s.wire.reply(x.timeouts.DataEnd)
	if err != nil {
		return err
	}
	if x.accepted == 0 {
		// The host has refused a chunk. Whether it skipped it as it must can't be
		// seen in time for a next transaction.
		s.over = true
	}
	s.proven = s.proven || reply.Positive()
	return x.end(reply, ahead)
}

// data sends DATA, together with commands that have not been sent yet, and the
// content once the host has asked for it.
func (x *exchange) data(start *time.Time) error {
	s := x.s
	if err := s.put("DATA\r\n"); err != nil {
		return x.explain(err)
	}
	if err := x.sync(start); err != nil {
		return err
	}
	reply, err := s.wire.reply(x.timeouts.DataStart)
	if err != nil {
		return err
	}
	if reply.Code < 400 && reply.Code != 354 || s.surplus() {
		return errOutOfStep
	}
	if reply.Code != 354 {
		x.conclude(reply)
		s.reset = x.begun()
		return closingReply(reply)
	}
	if x.accepted == 0 {
		// Some hosts ask for content although they have accepted no recipient.
		// They get none; what they say to that concerns nobody.
		if reply, err = s.command(".", x.timeouts.DataEnd); err != nil {
			return err
		}
		return closingReply(reply)
	}
	if err := s.putDotted(x.body); err != nil {
		return x.explain(err)
	}
	if err := s.flush(); err != nil {
		return x.explain(err)
	}
	x.sent = true
	if reply, err = s.wire.reply(x.timeouts.DataEnd); err != nil {
		return err
	}
	return x.end(reply, false)
}

// end is for the last reply. If the host goes on to say the opposite, one of its
// replies belongs to none of our commands, and nobody can tell which. ahead says
// that the replies to MAIL and RCPT have come together with this one: then it is
// enough that they differ.
func (x *exchange) end(r mail.Reply, ahead bool) error {
	if x.accepted > 0 && x.s.surplus() {
		x.s.over = true
		refusal := func(a mail.Reply) bool { return !a.Positive() }
		if x.s.contradicts(r) || ahead && slices.ContainsFunc(x.answers, refusal) {
			return errOutOfStep
		}
	}
	x.conclude(r)
	return closingReply(r)
}

// conclude notes the reply to the content, unless nobody was to receive it. What is
// said before the content has left can only be a refusal.
func (x *exchange) conclude(r mail.Reply) {
	if x.accepted > 0 && (x.sent || r.Code >= 400) {
		x.final = r
	}
}

func closingReply(r mail.Reply) error {
	if r.Code == 421 {
		return errClosing
	}
	return nil
}

// explain reads what a host said before it closed a connection that could no
// longer be written to: often a 4yz or 5yz that tells why. It returns err.
func (x *exchange) explain(err error) error {
	var unreadable *contentError
	if errors.Is(err, errBareNewline) || errors.As(err, &unreadable) {
		return err
	}
	if x.read(lastWords, lastWords) != nil {
		return err
	}
	if reply, e := x.s.wire.reply(lastWords); e == nil && !reply.Positive() {
		x.conclude(reply)
	}
	return err
}
