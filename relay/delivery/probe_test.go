package delivery

import (
	"slices"
	"testing"

	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
)

// TestProbe asks up to RCPT, and leaves nothing behind.
func TestProbe(t *testing.T) {
	for kind, keywords := range allKinds {
		t.Run(kind, func(t *testing.T) {
			p := peer(t, on{smtptest.Rcpt: smtptest.ByPath(map[string]string{"2@example.net": "550 5.1.1 nobody"})}, keywords...)
			c := courier(t, mx(hop("mx.example.net", p.Addr())), Timeouts{})
			e := message(hello, "1@example.net", "2@example.net", "3@example.org").Envelope
			o := c.Probe(t.Context(), e)
			if want := []queue.Verdict{queue.Success, queue.Bounce, queue.Reroute}; !slices.Equal(verdicts(o), want) {
				t.Errorf("outcome: %+v", o)
			}
			if o.Results[0].Reply.Code != 250 || o.Results[1].Reply.Code != 550 || o.Event.Host != "mx.example.net" {
				t.Errorf("outcome: %+v", o)
			}
			s := p.AwaitEnded(t, 1)[0]
			if !s.Quit || p.Steps(smtptest.Data) > 0 || p.Steps(smtptest.Content) > 0 {
				t.Errorf("session: %q", s.Commands)
			}
		})
	}
}
