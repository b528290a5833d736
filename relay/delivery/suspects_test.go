package delivery

import (
	"fmt"
	"slices"
	"testing"

	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
)

// rounds delivers a as the queue would, with one attempt after the other, and
// returns in which attempt each recipient was settled; 0 for never.
func rounds(t *testing.T, c *Courier, a *queue.Attempt, attempts int) []int {
	t.Helper()
	settled := make([]int, len(a.Envelope.Recipients))
	pending := slices.Clone(a.Pending)
	for n := range attempts {
		a.Delivery.Attempts = n
		var deferred []int
		for a.Pending = slices.Clone(pending); len(a.Pending) > 0; {
			o := c.Deliver(t.Context(), a)
			var again []int
			for i, r := range o.Results {
				switch r.Verdict {
				case queue.Again:
					again = append(again, a.Pending[i])
				case queue.Defer:
					deferred = append(deferred, a.Pending[i])
				default:
					settled[a.Pending[i]] = n + 1
				}
			}
			if len(again) == len(a.Pending) {
				t.Fatalf("nothing was tried: %+v", o)
			}
			a.Pending = again
		}
		slices.Sort(deferred)
		pending = deferred
	}
	return settled
}

// TestHangsUpAtOneRecipient: a host that ends the session whenever it reads a
// certain recipient gets the message for all the others.
func TestHangsUpAtOneRecipient(t *testing.T) {
	for how, action := range map[string]smtptest.Action{
		"closes":   {Close: true},
		"says 421": {Reply: "421 4.3.0 something is wrong here", Close: true},
		"crashes":  {Abort: true}, // and takes along what it has said to the commands before
	} {
		for _, row := range []struct {
			why        string
			recipients int
			evils      []int
			attempts   int // until all others have it
		}{
			{"the first", 3, []int{0}, 3},
			{"one in the middle", 5, []int{2}, 3},
			{"the last", 3, []int{2}, 3},
			{"two of them", 6, []int{1, 4}, 5},
			{"all but one", 4, []int{0, 1, 3}, 6},
		} {
			for kind, keywords := range allKinds {
				t.Run(how+"/"+row.why+"/"+kind, func(t *testing.T) {
					p := peer(t, on{smtptest.Rcpt: func(c smtptest.Command) smtptest.Action {
						for _, i := range row.evils {
							if c.Path == fmt.Sprintf("%d@example.net", i) {
								return action
							}
						}
						return smtptest.Action{}
					}}, keywords...)
					r := mx(hop("mx.example.net", p.Addr()))
					c := courier(t, r, Timeouts{})
					var to []string
					for i := range row.recipients {
						to = append(to, fmt.Sprintf("%d@example.net", i))
					}
					a := r.towards(message(hello, to...))
					settled := rounds(t, c, a, row.attempts)
					for i, n := range settled {
						if evil := slices.Contains(row.evils, i); evil != (n == 0) {
							t.Errorf("recipient %d was settled in attempt %d", i, n)
						}
					}
					if n := len(p.Sessions()); n > 3*row.attempts {
						t.Errorf("%d sessions in %d attempts", n, row.attempts)
					}
					got := 0
					for _, m := range p.Messages() {
						got += len(m.To)
					}
					if got != row.recipients-len(row.evils) {
						t.Errorf("the host has it for %d recipients", got)
					}
				})
			}
		}
	}
}

// TestHostHangsUpAtAnyRecipient costs one session an attempt, as any host in
// trouble does.
func TestHostHangsUpAtAnyRecipient(t *testing.T) {
	p := peer(t, on{smtptest.Rcpt: shut}, modern...)
	r := mx(hop("mx.example.net", p.Addr()))
	rounds(t, courier(t, r, Timeouts{}), r.towards(message(hello, "1@example.net", "2@example.net", "3@example.net")), 6)
	if n := len(p.Sessions()); n != 6 {
		t.Errorf("%d sessions in 6 attempts", n)
	}
}

// TestSuspectsAreForgotten when nobody waits any more, and bounded before.
func TestSuspectsAreForgotten(t *testing.T) {
	p := peer(t, on{smtptest.Rcpt: smtptest.InTurn(smtptest.Action{Close: true})})
	r := mx(hop("mx.example.net", p.Addr()))
	c := courier(t, r, Timeouts{})
	settled := rounds(t, c, r.towards(message(hello, "1@example.net", "2@example.net")), 2)
	if !slices.Equal(settled, []int{2, 2}) || len(c.suspects.deliveries) > 0 {
		t.Errorf("settled %v, %d deliveries remembered", settled, len(c.suspects.deliveries))
	}
	for i := range 3 * maxSuspects {
		c.suspects.note(queue.DeliveryKey{Number: uint32(i)}, suspicion{})
	}
	if n := len(c.suspects.deliveries); n > maxSuspects {
		t.Errorf("%d deliveries remembered", n)
	}
}
