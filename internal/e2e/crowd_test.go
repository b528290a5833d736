package e2e

import (
	"fmt"
	"io"
	"net/smtp"
	"slices"
	"syscall"
	"testing"
	"time"
)

// Whoever else is connected while one client works.
const (
	idlers  = 2000 // have said EHLO and nothing since
	slowest = 500  // send their message an octet a second
)

// TestCrowd: 2,000 idle connections and 500 slow ones leave a normal client served
// about as well as if it were alone. It prints how long its messages took with them and
// without.
func TestCrowd(t *testing.T) {
	raiseFileLimit(t, idlers+slowest+500)
	to := newSink(t, "")
	d := newDaemon(t, fmt.Sprintf(`routes: [{smarthosts: ["smtp://%s"], tls: none}]
submission: {max_connections: 10000, max_connections_per_address: 10000, max_connections_per_identity: 10000}
`, to.Addr)).start()
	const messages = 200
	alone := d.latencies(messages)
	for range idlers {
		dial(t, d.Open).expect("220")
	}
	var slow []*talk
	for range slowest {
		c := dial(t, d.Open)
		c.expect("220")
		c.ask("EHLO slow.test", "250")
		c.ask("MAIL FROM:<slow@example.org>", "250")
		c.ask("RCPT TO:<b@example.net>", "250")
		c.ask("DATA", "354")
		slow = append(slow, c)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Second / slowest)
		defer tick.Stop()
		for i := 0; ; i++ {
			_, _ = io.WriteString(slow[i%slowest], "x")
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	crowded := d.latencies(messages)
	close(stop)
	<-stopped
	for _, row := range []struct {
		what string
		took []time.Duration
	}{{"alone", alone}, {"in the crowd", crowded}} {
		t.Logf("%-12s %d messages, each on its own connection: p50 %v, p95 %v, most %v", row.what, messages,
			row.took[messages/2], row.took[messages*95/100], row.took[messages-1])
	}
	if p50 := crowded[messages/2]; p50 > 10*alone[messages/2]+100*time.Millisecond {
		t.Errorf("half of the messages took over %v, alone %v", p50, alone[messages/2])
	}
	for _, c := range slow[:3] {
		c.ask("\r\n.", "250") // they were served all the time
	}
}

// latencies sends n messages, each on a connection of its own, and returns how long
// they took, sorted.
func (d *daemon) latencies(n int) []time.Duration {
	d.t.Helper()
	took := make([]time.Duration, n)
	for i := range took {
		began := time.Now()
		if err := smtp.SendMail(d.Open, nil, "a@example.org", []string{"b@example.net"}, []byte("Subject: x\r\n\r\nbody\r\n")); err != nil {
			d.t.Fatal(err)
		}
		took[i] = time.Since(began)
	}
	slices.Sort(took)
	return took
}

// raiseFileLimit makes room for connections, here and in the daemon to come.
func raiseFileLimit(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < n {
		t.Fatalf("this test needs %d open files; the hard limit is %d", n, limit.Max)
	}
	if limit.Cur < n {
		limit.Cur = n
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Fatal(err)
		}
	}
}
