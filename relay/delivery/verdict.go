package delivery

import (
	"context"
	"errors"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// transaction offers the message to the host of s. settled says that the attempt
// is over; if it isn't, another host may be tried. stale says that s had been
// closed by the host while it rested, and nothing was lost by trying.
func (t *attempt) transaction(ctx context.Context, s *session) (settled, stale bool) {
	t.saw(s.host, s.address, s.tls, s.inClear)
	x, why := t.prepare(s)
	if why != nil {
		t.courier.cache.put(s)
		return t.unfit(s, why), false
	}
	if x == nil { // nobody is left
		t.courier.cache.put(s)
		return true, false
	}
	rested := s.reused()
	release := s.bind(ctx)
	x.run()
	if !release() {
		s.lost = true
	}
	if rested && x.untouched() && ctx.Err() == nil {
		t.courier.cache.part(s)
		return false, true
	}
	if ctx.Err() == nil {
		t.suspect(x)
	}
	settled = t.judge(x)
	t.courier.cache.put(s)
	if !settled && ctx.Err() != nil {
		t.interrupted(ctx)
		return true, false
	}
	return settled, false
}

// untouched reports whether the host closed the session before it took anything:
// no reply or 421 to the first command, and the content still here. An eager
// flight that got no reply is not that: the content may have been taken.
func (x *exchange) untouched() bool {
	if x.lost == nil {
		return false
	}
	if len(x.answers) == 0 {
		return !x.sent
	}
	return len(x.answers) == 1 && x.answers[0].Code == 421
}

// judge turns what was said in a transaction into results. It reports whether the
// attempt is settled.
func (t *attempt) judge(x *exchange) (settled bool) {
	sit := situation{smarthost: t.route.Smarthost, nullSender: x.envelope.From.IsNull(), taken: x.accepted > 0}
	if errors.Is(x.lost, errBareNewline) {
		t.malformed(x, sit)
		return true
	}
	if x.astray() {
		t.astray(x)
		return true
	}
	var first mail.Reply
	if len(x.answers) > 0 {
		first = x.answers[0]
	}
	r := classify(atMail, first, sit)
	x.s.over = x.s.over || r.over
	t.event.Reply = first
	if r.verdict != queue.Success {
		if x.unanswered() {
			t.doubtful(x, t.todo)
			return true
		}
		f := x.failure(atMail, r, first)
		if r.next {
			t.stalled(x.lost)
			t.failures = append(t.failures, f)
			return false
		}
		t.blame(f)
		t.everyone(f.result())
		return true
	}
	t.report(x.s.address.Addr(), true)
	t.leave(x)
	accepted := t.recipients(x, sit)
	if len(accepted) > 0 && !x.probe {
		t.content(x, sit, accepted)
	}
	return true
}

// astray reports whether the host's replies can't be told to belong to our commands.
func (x *exchange) astray() bool {
	return errors.Is(x.lost, errOutOfStep) && len(x.answers) > 0
}

// astray defers everyone: neither a delivery nor a refusal was surely meant.
func (t *attempt) astray(x *exchange) {
	if x.unanswered() {
		t.doubtful(x, t.todo)
		return
	}
	f := x.failure(atData, silent(atData), mail.Reply{})
	t.blame(f)
	t.everyone(f.result())
	t.notAgain(f)
}

// malformed bounces content that can't be sent. Whom the host has refused for
// another reason before is told that one.
func (t *attempt) malformed(x *exchange, sit situation) {
	t.everyone(queue.Result{Verdict: queue.Bounce, Reply: mail.Reply{
		Code: 554, Enhanced: mail.EnhancedCode{5, 6, 0}, Text: "message content holds a bare CR or LF",
	}})
	for n, i := range x.todo[:max(0, len(x.answers)-1)] {
		reply := x.answers[n+1]
		if r := classify(atRcpt, reply, sit); r.verdict == queue.Bounce {
			t.results[i] = queue.Result{Verdict: queue.Bounce, Host: x.s.host, Reply: reply}
		}
	}
}

// recipients writes down what was said at RCPT and returns the places of those
// that were accepted.
func (t *attempt) recipients(x *exchange, sit situation) (accepted []int) {
	accepted = make([]int, 0, len(t.todo))
	for n, i := range t.todo {
		var reply mail.Reply
		if n+1 < len(x.answers) {
			reply = x.answers[n+1]
		}
		sit.accepted = len(accepted)
		r := classify(atRcpt, reply, sit)
		x.s.over = x.s.over || r.over
		if r.verdict == queue.Success {
			if x.probe {
				t.results[i] = queue.Result{Verdict: queue.Success, Reply: reply, Host: x.s.host}
			}
			accepted = append(accepted, i)
			continue
		}
		if reply.Code == 0 && x.unanswered() {
			t.doubtful(x, append(accepted, t.todo[n:]...))
			return nil
		}
		f := x.failure(atRcpt, r, reply)
		t.event.Reply = reply
		t.blame(f)
		t.results[i] = f.result()
		if r.over {
			// The transaction went down with the session: all share its fate but
			// those that were refused for good before.
			for _, rest := range append(accepted, t.todo[n+1:]...) {
				t.results[rest] = f.result()
			}
			t.notAgain(f)
			return nil
		}
	}
	return accepted
}

// content writes down what was said to DATA and to the end of the data, for all
// that were accepted.
func (t *attempt) content(x *exchange, sit situation, accepted []int) {
	if x.unanswered() {
		t.doubtful(x, accepted)
		return
	}
	r := classify(atData, x.final, sit)
	x.s.over = x.s.over || r.over
	f := x.failure(atData, r, x.final)
	t.event.Reply = x.final
	t.blame(f)
	for _, i := range accepted {
		t.results[i] = f.result()
		t.results[i].Relayed = r.verdict == queue.Success && x.s.offers.dsn
	}
	if r.over || x.lost != nil {
		t.notAgain(f)
	}
}

// unanswered reports whether all of the content has left and no word about it
// came back: the host may have it.
func (x *exchange) unanswered() bool { return x.sent && x.lost != nil && x.final.Code == 0 }

// doubtful is for recipients whose message the host may have or not have. It is
// tried again, at the same host first: a duplicate is better than a loss.
func (t *attempt) doubtful(x *exchange, recipients []int) {
	t.inDoubt = x.s.host
	t.courier.meter.InDoubt()
	t.event.Reply = mail.Reply{}
	f := x.failure(atData, silent(atData), mail.Reply{})
	for _, i := range recipients {
		t.results[i] = f.result()
	}
	t.notAgain(f)
}

// notAgain defers those that were to have another transaction at once: on a host
// that has ended the session, as f tells, there is no "at once".
func (t *attempt) notAgain(f failure) {
	for i := range t.results {
		r := &t.results[i]
		if r.Verdict != queue.Again {
			continue
		}
		if r.Reply.Code == 0 {
			r.Host, r.Reply, r.Reason = f.host, f.reply, f.reason
		}
		r.Verdict = queue.Defer
	}
}

// failure is what reply, or its absence, at some stage comes to by r.
func (x *exchange) failure(at stage, r ruling, reply mail.Reply) failure {
	return failure{host: x.s.host, ruling: r, reply: reply, reason: x.reason(at, reply)}
}

// reason says in words why there is no reply at some stage.
func (x *exchange) reason(at stage, r mail.Reply) string {
	if r.Code != 0 {
		return ""
	}
	cause := x.lost
	if cause == nil {
		cause = errOutOfStep
	}
	if at == atData && x.sent {
		return "no answer after the end of the message: " + inWords(cause)
	}
	return at.String() + ": " + inWords(cause)
}

func (f *failure) result() queue.Result {
	r := queue.Result{Verdict: f.ruling.verdict, Reply: f.reply, Host: f.host, Reason: f.reason}
	if f.own {
		r.Host = "" // it is read as the one who gave the reply
	}
	return r
}

// everyone gives all whom the attempt is about the same result.
func (t *attempt) everyone(r queue.Result) {
	for _, i := range t.todo {
		t.results[i] = r
	}
}

// blame keeps the worst fault seen.
func (t *attempt) blame(f failure) {
	if f.ruling.fault > t.fault {
		t.fault, t.faultBy = f.ruling.fault, f
	}
}
