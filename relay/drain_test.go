package relay

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/postrider/postrider/internal/smtptest"
)

// smarthost is the value of routes that sends everything to p.
func smarthost(p *smtptest.Peer) string {
	return fmt.Sprintf(`[{name: provider, smarthosts: ["smtp://%s"], tls: none}]`, p.Addr())
}

// TestDrainGoesOnWithAttempts: clients that come while only an attempt at delivery
// still runs are answered, and told to come again.
func TestDrainGoesOnWithAttempts(t *testing.T) {
	answer := make(chan struct{})
	let := sync.OnceFunc(func() { close(answer) })
	defer let()
	peer := smtptest.Start(t, smtptest.Script{On: map[smtptest.Step]smtptest.Actor{
		smtptest.Content: func(smtptest.Command) smtptest.Action { <-answer; return smtptest.Action{} },
	}})
	f := start(t, keys{"routes": smarthost(peer)})
	f.submit("b@example.net")
	peer.AwaitStep(t, smtptest.Content, 1)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- f.Stop(ctx) }()
	for f.queue.Ready() == nil { // until it is the attempts' turn
		f.connect().Close()
	}
	for range 3 {
		f.connect().want(421)
	}
	let()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if n := len(peer.Messages()); n != 1 {
		t.Errorf("%d messages arrived", n)
	}
}
