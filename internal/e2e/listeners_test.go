package e2e

import (
	"fmt"
	"net"
	"net/smtp"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider/postrider/internal/smtptest"
)

// TestListenersChangeWithoutRestart adds a listener, changes limits and the name,
// takes the listener away again, and is refused one whose port is taken.
func TestListenersChangeWithoutRestart(t *testing.T) {
	const gauge = "postrider_config_last_reload_successful"
	to := newSink(t, "")
	d := newDaemon(t, fmt.Sprintf("routes: [{smarthosts: [\"smtp://%s\"], tls: none}]\n", to.Addr)).start()
	b, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	good := string(b)
	added := smtptest.FreeAddress(t)
	more := strings.Replace(good, "listeners:\n", fmt.Sprintf("listeners:\n  - { address: %q, auth: none, identity: added, tls: none }\n", added), 1)
	more = strings.Replace(more, "hostname: relay.test", "hostname: renamed.test", 1) + "submission: { max_recipients: 1 }\n"

	stays := dial(t, d.Open)
	stays.expect("220")
	stays.ask("EHLO client.test", "250")
	d.reload(more)
	eventually(t, "the new listener is open", func() error {
		c, err := net.Dial("tcp", added)
		if err == nil {
			c.Close()
		}
		return err
	})
	if err := smtp.SendMail(added, nil, "a@example.org", []string{"b@example.net"}, []byte("Subject: added\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message arrives", func() error {
		if to.count() != 1 {
			return fmt.Errorf("%d messages", to.count())
		}
		return nil
	})
	if e := d.events("accepted"); len(e) != 1 || e[0]["identity"] != "added" {
		t.Errorf("accepted: %v", e)
	}
	if m := string(to.messages()[0].Data); !strings.Contains(m, "by renamed.test ") {
		t.Errorf("the trace field has not the new name:\n%s", m)
	}
	stays.ask("MAIL FROM:<a@example.org>", "250")
	stays.ask("RCPT TO:<b@example.net>", "250")
	stays.ask("RCPT TO:<c@example.net>", "452")
	stays.ask("RSET", "250")

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	d.reload(strings.Replace(more, added, taken.Addr().String(), 1))
	eventually(t, "the taken port is refused", func() error {
		if v := d.metric(gauge); v != "0" {
			return fmt.Errorf("%s is %s", gauge, v)
		}
		return nil
	})
	if log := d.log.String(); !strings.Contains(log, "listener "+taken.Addr().String()) {
		t.Errorf("the log does not name the listener:\n%s", log)
	}
	inside := dial(t, added)
	inside.expect("220")
	d.reload(good)
	inside.expect("421")
	eventually(t, "the listener is closed", func() error {
		c, err := net.Dial("tcp", added)
		if err == nil {
			c.Close()
			return fmt.Errorf("still open")
		}
		return nil
	})
	stays.ask("NOOP", "250")
}

// reload puts another file in place and asks for it to be read.
func (d *daemon) reload(yaml string) {
	d.t.Helper()
	d.write(yaml)
	d.signal(syscall.SIGHUP)
}

// TestHandshakesAndCommitsAreCounted looks for what sessions feed the metrics with.
func TestHandshakesAndCommitsAreCounted(t *testing.T) {
	d := newDaemon(t, "").start()
	if err := login(d.Submission, user, password); err != nil {
		t.Fatal(err)
	}
	c := dial(t, d.Submission)
	c.expect("220")
	c.ask("EHLO client.test", "250")
	c.ask("STARTTLS", "220")
	if _, err := c.Write([]byte("no handshake\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := smtp.SendMail(d.Open, nil, "a@example.org", []string{"b@[127.0.0.9]"}, []byte("Subject: x\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ metric, value string }{
		{`postrider_tls_handshakes_total{result="ok",side="server"}`, "1"},
		{`postrider_tls_handshakes_total{result="failed",side="server"}`, "1"},
		{`postrider_queue_commit_seconds_count`, "1"},
	} {
		eventually(t, want.metric, func() error {
			if got := d.metric(want.metric); got != want.value {
				return fmt.Errorf("it is %q, want %s", got, want.value)
			}
			return nil
		})
	}
}
