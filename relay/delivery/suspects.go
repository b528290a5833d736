package delivery

import (
	"sync"

	"github.com/postrider/postrider/queue"
)

// maxSuspects bounds how many deliveries are remembered that lost a session while
// they named their recipients.
const maxSuspects = 1000

// suspects remembers deliveries whose session went down at RCPT, so that one
// recipient at whom a host hangs up each time does not keep the others from their
// mail for ever. It is in memory only: after a restart one more lost session tells
// the same.
type suspects struct {
	mu         sync.Mutex // guards deliveries, not the suspicions in it
	deliveries map[queue.DeliveryKey]suspicion
}

// suspicion ranks recipients, by their places in the envelope, in the order they
// are to be tried: those below zero were accepted before a session was lost, those
// above zero were the ones it was lost at, so many times. It belongs to the one
// attempt there is at its delivery.
type suspicion map[int]int

// of returns what is known of a delivery; nil if nothing was ever lost with it.
func (s *suspects) of(key queue.DeliveryKey) suspicion {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deliveries[key]
}

func (s *suspects) note(key queue.DeliveryKey, known suspicion) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deliveries == nil || len(s.deliveries) >= maxSuspects {
		s.deliveries = make(map[queue.DeliveryKey]suspicion) // another lost session for each is no harm
	}
	s.deliveries[key] = known
}

func (s *suspects) forget(key queue.DeliveryKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.deliveries, key)
}

// isolate leaves in this transaction those with the lowest rank alone, and of
// suspects one; the others have their turn in a further one. So a recipient that
// ends the session takes nobody along who was not named together with it before.
func (t *attempt) isolate() {
	if t.known == nil {
		return
	}
	rank := func(i int) int { return t.known[t.a.Pending[i]] }
	lowest := rank(t.todo[0])
	for _, i := range t.todo {
		lowest = min(lowest, rank(i))
	}
	together := t.todo[:0:0]
	for _, i := range t.todo {
		if rank(i) == lowest && (lowest <= 0 || len(together) == 0) {
			together = append(together, i)
			continue
		}
		t.results[i] = queue.Result{Verdict: queue.Again}
	}
	t.todo = together
}

// suspect notes at whom the session of x was lost. A host that answers several
// commands at once may take the answers with it, even that to MAIL; then nobody is
// named yet, but from now on one command is sent at a time.
func (t *attempt) suspect(x *exchange) {
	at := len(x.answers) - 1 // the place in x.recipients whose RCPT had no answer
	if at >= 0 && x.answers[at].Code == 421 {
		at-- // it had: that the session ends
	}
	switch {
	case x.lost == nil || x.probe || len(t.a.Pending) < 2:
		return
	case at < 0 && (len(x.answers) > 0 || !x.pipelines()):
		return // lost at MAIL
	case at >= len(x.recipients):
		return // lost at the data
	}
	if t.known == nil {
		t.known = make(suspicion)
		t.courier.suspects.note(t.a.Delivery.DeliveryKey, t.known)
	}
	if at < 0 {
		return
	}
	for n, reply := range x.answers[1 : at+1] {
		if reply.Positive() {
			t.known[x.recipients[n]] = -1
		}
	}
	t.known[x.recipients[at]] = max(t.known[x.recipients[at]], 0) + 1
}

// trusted forgets about a delivery that nobody waits for any more.
func (t *attempt) trusted() {
	if t.known == nil {
		return
	}
	if t.awaited() {
		return
	}
	t.courier.suspects.forget(t.a.Delivery.DeliveryKey)
}
