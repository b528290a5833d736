package queue_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"strings"
	"sync"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// ledger is what the world outside a queue knows: what was acknowledged to
// clients, what next hops took, what senders and operators were told. It is the
// next hop, too: the first letters of a recipient say what becomes of it.
//
//	good   is taken
//	late   is deferred once and then taken
//	bad    is refused, so that its sender gets a report
type ledger struct {
	mu sync.Mutex // guards the rest
	// Of recipients: acknowledged as part of a message; taken by the next hop,
	// how often; named in a report that was taken.
	acknowledged, reported map[string]bool
	taken                  map[string]int
	// settled recipients are recorded as delivered or bounced; gone are those
	// settled before a synced commit that has returned. An operator may have
	// deleted those in deleted.
	settled, gone, deleted map[string]bool
	// open: everything is taken, reports are read.
	open bool
	more chan struct{} // something was taken
}

func newLedger() *ledger {
	return &ledger{
		acknowledged: map[string]bool{}, reported: map[string]bool{}, taken: map[string]int{},
		settled: map[string]bool{}, gone: map[string]bool{}, deleted: map[string]bool{},
		more: make(chan struct{}, 1),
	}
}

// picture returns a copy of what is known now. The caller holds l.mu.
func (l *ledger) picture() *ledger {
	p := newLedger()
	maps.Copy(p.acknowledged, l.acknowledged)
	maps.Copy(p.reported, l.reported)
	maps.Copy(p.taken, l.taken)
	maps.Copy(p.gone, l.gone)
	maps.Copy(p.deleted, l.deleted)
	return p
}

var finalRecipient = regexp.MustCompile(`(?m)^Final-Recipient: rfc822; ?(\S+)\r$`)

// Deliver implements queue.Deliverer.
func (l *ledger) Deliver(_ context.Context, a *queue.Attempt) queue.Outcome {
	content, err := io.ReadAll(io.NewSectionReader(a.Content, 0, a.Content.Size()))
	out := queue.Outcome{Results: make([]queue.Result, len(a.Pending))}
	if err != nil {
		return out // deferred; who looks for the message misses it
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, index := range a.Pending {
		to := a.Envelope.Recipients[index].Address.String()
		out.Results[i] = queue.Result{Verdict: queue.Success, Reply: mail.Reply{Code: 250}, Host: "mx.example"}
		switch {
		case a.Envelope.From.IsNull():
			for _, m := range finalRecipient.FindAllSubmatch(content, -1) {
				l.reported[string(m[1])] = true
			}
		case strings.HasPrefix(to, "bad") && !l.open:
			out.Results[i] = queue.Result{Verdict: queue.Bounce, Host: "mx.example",
				Reply: mail.Reply{Code: 550, Enhanced: mail.EnhancedCode{5, 1, 1}, Text: "no such user"}}
		case strings.HasPrefix(to, "late") && !l.open && a.Delivery.Attempts == 0:
			out.Results[i] = queue.Result{Verdict: queue.Defer, Host: "mx.example", Reply: mail.Reply{Code: 450, Text: "later"}}
		default:
			l.taken[to]++
		}
	}
	select {
	case l.more <- struct{}{}:
	default:
	}
	return out
}

// Record implements mail.Recorder: what is recorded has been settled.
func (l *ledger) Record(e mail.Event) {
	if e.Kind != mail.EventDelivered && e.Kind != mail.EventBounced {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, to := range e.To {
		l.settled[fmt.Sprint(to)] = true
	}
}

// synced notes what a synced commit, that began after before was taken and has
// returned, has made durable.
func (l *ledger) synced(before map[string]bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.Copy(l.gone, before)
}

func (l *ledger) settledNow() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.settled)
}

// letter is a message to be handed in.
type letter struct {
	to          []string
	size        int
	disposition queue.Disposition
}

// submit hands m in, and enters it as acknowledged if it is.
func (l *ledger) submit(q *queue.Queue, m letter) (mail.ID, error) {
	before := l.settledNow()
	in, err := q.Receive(context.Background())
	if err != nil {
		return mail.ID{}, err
	}
	defer in.Discard()
	text := "Subject: x\r\n\r\n" + strings.Repeat("All work and no play makes it large.\r\n", m.size/38)
	if _, err := io.WriteString(in, text); err != nil {
		return mail.ID{}, err
	}
	e := &mail.Envelope{From: mail.Path{Address: mail.MustParseAddress("sender@example.org")}, Identity: mail.Identity{Name: "app"}}
	for _, to := range m.to {
		e.Recipients = append(e.Recipients, mail.Recipient{Address: mail.MustParseAddress(to)})
	}
	if err := in.Commit(context.Background(), e, m.disposition); err != nil {
		return mail.ID{}, err
	}
	l.synced(before)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, to := range m.to {
		l.acknowledged[to] = true
	}
	return in.ID(), nil
}

// lost returns the recipients that were acknowledged and of whom nobody has heard
// again, neither before a crash, as l knows it, nor after.
func (l *ledger) lost(after *ledger) (lost []string) {
	after.mu.Lock()
	defer after.mu.Unlock()
	for to := range l.acknowledged {
		if l.taken[to]+after.taken[to] == 0 && !l.reported[to] && !after.reported[to] && !l.deleted[to] {
			lost = append(lost, to)
		}
	}
	return lost
}

// resurrected returns the recipients that were settled before a synced commit
// and came back.
func (l *ledger) resurrected(after *ledger) (back []string) {
	after.mu.Lock()
	defer after.mu.Unlock()
	for to := range l.gone {
		if after.taken[to] > 0 {
			back = append(back, to)
		}
	}
	return back
}
