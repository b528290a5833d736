package queue

import (
	"maps"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// Bounds of what is remembered about senders at one destination.
const (
	maxTaken   = 16
	maxRefused = 256
	// severalSenders is how many must be refused, with nobody taken, before the
	// smarthost is left alone for a while instead of being tried with another; and
	// how many must be over a quota, with nobody taken since, before it is taken
	// for the quota of all.
	severalSenders = 3
	// longestRefusal is the longest pause of a refused sender: somebody may be
	// mending it just now, and one MAIL in a quarter of an hour costs nothing.
	longestRefusal = 15 * time.Minute
	// probeHold is for how long a refused sender's other mail waits while one
	// delivery tries whether it is still refused.
	probeHold = 5 * time.Second
)

// senders is what a smarthost has said about reverse-paths. One application with
// a wrong sender must not stop the mail of the others, so a refusal is the
// sender's as long as the smarthost is known to take mail from anybody else: the
// sender's own mail waits, and one delivery an interval tries again. Where nobody
// is known to be taken the route itself is at fault and suspended; then the next
// probe is another sender's, because the refused one's mail stands aside, and it
// comes at once unless several have been refused.
//
// A temporary refusal is a quota, and replies seldom say whose: the sender's, the
// account's that all share. So it is the sender's until several in a row have been
// refused, and then the route's.
//
// The scheduler's mutex guards it.
type senders struct {
	taken   map[string]bool // whose mail was taken, and not refused since
	refused map[string]*refusal
	round   int // grows when mail was taken
}

// refusal is what is known of a refused sender.
type refusal struct {
	trouble
	since  time.Time
	until  time.Time // its mail stands aside; to the millisecond, as due times are
	faults int       // refusals in a row
	round  int       // of senders, when it was refused last
}

// take notes that mail from sender was taken. It reports whether that is news.
func (s *senders) take(sender string) (news bool) {
	s.round++
	if s.refused[sender] != nil {
		delete(s.refused, sender)
		news = true
	}
	if !s.taken[sender] {
		if s.taken == nil {
			s.taken = make(map[string]bool)
		}
		if len(s.taken) >= maxTaken {
			for one := range s.taken {
				delete(s.taken, one)
				break
			}
		}
		s.taken[sender] = true
	}
	return news
}

// refuse notes that mail from sender was refused, for a pause that grows. It
// reports whether that is news, and whether it seems that nobody's mail is taken.
func (s *senders) refuse(sender string, t trouble, now time.Time, plan *retryPlan) (news, nobody bool) {
	delete(s.taken, sender)
	r := s.refused[sender]
	if r == nil {
		if s.refused == nil {
			s.refused = make(map[string]*refusal)
		}
		if len(s.refused) >= maxRefused {
			s.forgetOne()
		}
		r, news = &refusal{since: now}, true
		s.refused[sender] = r
	}
	r.trouble = t
	r.faults++
	r.round = s.round
	r.until = now.Add(min(plan.wait(r.faults), longestRefusal)).Truncate(time.Millisecond)
	quota := !t.reply.Permanent()
	return news, len(s.taken) == 0 || quota && s.inARow() >= severalSenders
}

// inARow returns how many senders have been refused since anybody's mail was taken.
func (s *senders) inARow() (n int) {
	for _, r := range s.refused {
		if r.round == s.round {
			n++
		}
	}
	return n
}

// forgetOne drops the refusal that ends first.
func (s *senders) forgetOne() {
	var first string
	for sender, r := range s.refused {
		if first == "" || r.until.Before(s.refused[first].until) {
			first = sender
		}
	}
	delete(s.refused, first)
}

// aside returns why mail from sender stands aside now, and until when; nil if it
// doesn't. The one caller after the pause is told that it doesn't, and so tries.
func (s *senders) aside(sender string, now time.Time) *refusal {
	r := s.refused[sender]
	if r == nil {
		return nil
	}
	if now.Before(r.until) {
		known := *r
		return &known
	}
	r.until = now.Add(probeHold)
	return nil
}

// RefusedSender is a reverse-path from which a smarthost takes no mail.
type RefusedSender struct {
	Sender string    `json:"sender"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
	Probe  time.Time `json:"probe"` // when its mail is tried next
}

// list returns what is refused, in order of the senders.
func (s *senders) list() []RefusedSender {
	var all []RefusedSender
	for _, sender := range slices.Sorted(maps.Keys(s.refused)) {
		r := s.refused[sender]
		all = append(all, RefusedSender{plainPath(sender), r.trouble.String(), r.since, r.until})
	}
	return all
}

// again ends all pauses of refused senders.
func (s *senders) again(now time.Time) {
	for _, r := range s.refused {
		r.until = now
	}
}

// standAside puts off an attempt at mail from a refused sender, without asking the
// smarthost. It reports whether it did.
func (q *Queue) standAside(j job, a *attempting) bool {
	now := q.clock.now()
	why := q.sched.aside(j.lane.hop, a.Envelope.From.String(), now)
	if why == nil {
		return false
	}
	d := a.Delivery.clone()
	d.State, d.Due = Deferred, why.until
	for _, index := range a.Pending {
		r := d.recipient(index)
		if r.State != Deferred || r.Reply != why.reply || r.Host != why.host {
			r.State, r.Reply, r.Host, r.Reason, r.At = Deferred, why.reply, why.host, why.reason, now
		}
	}
	v := &ruling{settlement: settlement{envelope: a.Envelope, old: a.Delivery, new: d}, table: a.table}
	q.tell(&v.settlement, d, &mail.Event{}, d.Attempts, d.Due, now)
	q.settle(v)
	return true
}
