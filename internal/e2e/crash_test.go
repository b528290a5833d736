package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/smtp"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestKilledUnderLoad kills the daemon again and again while clients submit and
// the next hop takes deliveries, and then looks for every message that was
// answered 250. Duplicates are allowed, and counted.
func TestKilledUnderLoad(t *testing.T) {
	const clients = 8
	to := newSink(t, "")
	d := newDaemon(t, fmt.Sprintf("routes: [{smarthosts: [\"smtp://%s\"], tls: none}]\nretry: {intervals: [1s]}\n", to.Addr))

	var mu sync.Mutex // guards acknowledged
	acknowledged := map[string]bool{}
	stop := make(chan struct{})
	var running sync.WaitGroup
	for c := range clients {
		running.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				// Every tenth message is large enough to be kept in a file.
				size := 2000
				if n%10 == 0 {
					size = 200_000
				}
				token := fmt.Sprintf("token-%d-%d-", c, n)
				if submit(d.Open, token, size) == nil {
					mu.Lock()
					acknowledged[token] = true
					mu.Unlock()
				} else {
					time.Sleep(10 * time.Millisecond) // the daemon is down: that is the point
				}
			}
		})
	}
	for range crashRounds {
		d.start()
		time.Sleep(time.Duration(20+rand.IntN(400)) * time.Millisecond)
		d.kill()
	}
	close(stop)
	running.Wait()
	if len(acknowledged) == 0 {
		t.Fatal("nothing was accepted at all: the test shows nothing")
	}

	d.start()
	d.waitEmpty()
	copies := map[string]int{}
	for _, m := range to.messages() {
		copies[tokenOf(m.Data)]++
	}
	lost, twice := 0, 0
	for token := range acknowledged {
		switch n := copies[token]; {
		case n == 0:
			lost++
		case n > 1:
			twice++
		}
	}
	t.Logf("%d rounds: %d acknowledged, %d lost, %d more than once", crashRounds, len(acknowledged), lost, twice)
	if lost > 0 {
		t.Errorf("%d of %d acknowledged messages never arrived", lost, len(acknowledged))
	}
}

// submit sends one message whose subject is token.
func submit(addr, token string, size int) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail("sender@example.org"); err != nil {
		return err
	}
	if err := c.Rcpt("rcpt@example.net"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	line := strings.Repeat("x", 70) + "\r\n"
	fmt.Fprintf(w, "Subject: %s\r\n\r\n%s", token, strings.Repeat(line, size/len(line)))
	return w.Close()
}

func tokenOf(content []byte) string {
	_, rest, _ := bytes.Cut(content, []byte("Subject: "))
	token, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(token)
}
