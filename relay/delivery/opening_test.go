package delivery

import (
	"context"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
)

// TestGivenUpBeforeTransaction: when no transaction is to begin any more, a wait
// for a connection ends at once, and a transaction that runs ends as it would have.
func TestGivenUpBeforeTransaction(t *testing.T) {
	for _, c := range []struct {
		step smtptest.Step
		do   smtptest.Action
		want queue.Verdict
	}{
		{smtptest.Connect, smtptest.Action{Hang: true}, queue.Again},
		{smtptest.EHLO, smtptest.Action{Hang: true}, queue.Again},
		{smtptest.Content, smtptest.Action{Reply: "250 ok", Delay: 200 * time.Millisecond}, queue.Success},
	} {
		t.Run(string(c.step), func(t *testing.T) {
			p := peer(t, on{c.step: smtptest.Do(c.do)})
			r := mx(hop("mx.example.net", p.Addr()), hop("b.example.net", p.Addr()))
			opening, stop := context.WithCancel(t.Context())
			a := r.towards(message(hello, "1@example.net"))
			a.Opening = opening
			done := make(chan queue.Outcome, 1)
			go func() { done <- courier(t, r, Timeouts{}).Deliver(t.Context(), a) }()
			p.AwaitStep(t, c.step, 1)
			stop()
			select {
			case o := <-done:
				if o.Results[0].Verdict != c.want || o.Fault != queue.NoFault {
					t.Errorf("outcome: %+v", o)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("still waiting")
			}
			if n := p.Steps(smtptest.Connect); n != 1 {
				t.Errorf("%d hosts were asked", n)
			}
		})
	}
}
