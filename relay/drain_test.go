package relay

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/postrider/postrider/internal/config"
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

// TestDrainDoesNotWaitForAPager: who asked for something and stops to read it is cut
// off, long before the time for the drain is over.
func TestDrainDoesNotWaitForAPager(t *testing.T) {
	f := start(t, keys{"admin": `{address: "127.0.0.1:0"}`})
	f.hold()
	id := f.submitText("Subject: long\r\n\r\n"+strings.Repeat(strings.Repeat("x", 70)+"\r\n", 50_000), "b@example.net")
	conn, err := net.Dial("unix", config.ControlSocket(filepath.Join(f.dir, "state")))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/messages/%s/content HTTP/1.1\r\nHost: postrider\r\n\r\n", id)
	if status, err := bufio.NewReaderSize(conn, 16).ReadString('\n'); err != nil || status != "HTTP/1.1 200 OK\r\n" {
		t.Fatalf("%q, %v", status, err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := f.Stop(ctx); err != nil {
		t.Error(err)
	}
	if ctx.Err() != nil {
		t.Error("it took all the time there was")
	}
}

// TestTheLogTellsWhatIsCutOff at the end of a drain, and nothing where nothing is.
func TestTheLogTellsWhatIsCutOff(t *testing.T) {
	peer := smtptest.Start(t, smtptest.Script{On: map[smtptest.Step]smtptest.Actor{
		smtptest.Content: smtptest.Do(smtptest.Action{Hang: true}),
	}})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, row := range []struct {
		why   string
		begin func(*fixture)
		want  string
	}{
		{"nothing runs", func(*fixture) {}, ""},
		{"an attempt", func(f *fixture) { f.submit("b@example.net"); peer.AwaitStep(t, smtptest.Content, 1) }, "1 attempts were broken off"},
		{"a transaction", func(f *fixture) { f.greeted().do("MAIL FROM:<a@example.org>", 250) }, "sessions were cut off"},
	} {
		t.Run(row.why, func(t *testing.T) {
			f := start(t, keys{"routes": smarthost(peer)})
			row.begin(f)
			if err := f.Stop(over); err != nil {
				t.Error(err)
			}
			log := f.logged()
			if strings.Contains(log, "WARN") != (row.want != "") || !strings.Contains(log, row.want) {
				t.Error(log)
			}
		})
	}
}
