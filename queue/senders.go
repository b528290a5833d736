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
	// refusalKept is for how long after its pause a refusal is kept that nobody
	// came to try: there is no mail from the sender any more.
	refusalKept = longestRefusal
)

// senders is what a smarthost has said about reverse-paths. One application with
// a wrong sender must not stop the mail of the others, so a refusal is the
// sender's as long as the smarthost is known to take mail from anybody else: the
// sender's own mail waits in a lane of its own, where it costs one attempt an
// interval however much there is, and flows as soon as one is taken. Where nobody
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
// Of more senders than it remembers each delivery waits by its own clock.
func (s *senders) refuse(sender string, t trouble, now time.Time, plan *retryPlan) (news, nobody bool) {
	delete(s.taken, sender)
	r := s.refused[sender]
	if r == nil {
		if s.refused == nil {
			s.refused = make(map[string]*refusal)
		}
		if len(s.refused) >= maxRefused {
			maps.DeleteFunc(s.refused, func(_ string, r *refusal) bool { return now.Sub(r.until) > refusalKept })
		}
		if len(s.refused) >= maxRefused {
			return false, len(s.taken) == 0
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

// aside returns until when mail from sender stands aside; zero if it was not
// refused.
func (s *senders) aside(sender string) time.Time {
	if r := s.refused[sender]; r != nil {
		return r.until
	}
	return time.Time{}
}

// try notes that mail from sender is tried now. If it was refused before, its other
// mail waits a moment for what comes of that.
func (s *senders) try(sender string, now time.Time) {
	if r := s.refused[sender]; r != nil {
		r.until = now.Add(probeHold)
	}
}

// shift moves all times by a step of the clock.
func (s *senders) shift(step time.Duration) {
	for _, r := range s.refused {
		r.since, r.until = r.since.Add(step), r.until.Add(step)
	}
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

// standAside moves a delivery of a refused sender to that sender's lane, without
// asking the smarthost. It reports whether it did.
func (q *Queue) standAside(j job, a *attempting) bool {
	if a.Delivery.Refused != "" {
		return false // it comes from there
	}
	sender := a.Envelope.From.String()
	why := q.sched.refusal(j.lane.hop, sender)
	if why == nil {
		return false
	}
	now := q.clock.now()
	d := a.Delivery.clone()
	d.State, d.Due, d.Refused = Deferred, now, sender
	for _, index := range a.Pending {
		r := d.recipient(index)
		r.State, r.Reply, r.Host, r.Reason, r.At = Deferred, why.reply, why.host, why.reason, now
	}
	v := &ruling{settlement: settlement{envelope: a.Envelope, old: a.Delivery, new: d}, table: a.table}
	q.tell(&v.settlement, d, &mail.Event{}, d.Attempts, why.until, now)
	q.settle(v)
	return true
}

// comeBack returns d to the lane of its like.
func (d *Delivery) comeBack() {
	if d.Refused == "" {
		return
	}
	d.Refused = ""
	if d.State == Deferred && d.Attempts == 0 {
		d.State = Active
	}
}
