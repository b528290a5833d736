package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/smtptest"
)

// talk is a client that says and expects lines.
type talk struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dial(t testing.TB, addr string) *talk {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &talk{t, c, bufio.NewReader(c)}
}

// expect reads a reply and fails the test unless it begins with code.
func (c *talk) expect(code string) string {
	c.t.Helper()
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", code, err)
		}
		if !strings.HasPrefix(line, code) {
			c.t.Fatalf("got %q instead of %s", line, code)
		}
		if len(line) < 4 || line[3] != '-' {
			return line
		}
	}
}

// ask sends a line and expects a reply.
func (c *talk) ask(line, code string) string {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	return c.expect(code)
}

// login tells whether name and password are let in after STARTTLS.
func login(addr, name, password string) error {
	c, err := smtp.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.StartTLS(&tls.Config{InsecureSkipVerify: true}); err != nil {
		return err
	}
	host, _, _ := net.SplitHostPort(addr)
	return c.Auth(smtp.PlainAuth("", name, password, host))
}

func (d *daemon) signal(s os.Signal) { d.cmd.Process.Signal(s) }

// metric returns the value of a metric without labels.
func (d *daemon) metric(name string) string {
	d.t.Helper()
	resp, err := http.Get("http://" + d.Admin + "/metrics")
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func TestNothingIsRelayedWithoutAuth(t *testing.T) {
	d := newDaemon(t, "").start()
	c := dial(t, d.Submission)
	c.expect("220")
	c.ask("EHLO client.test", "250")
	if line := c.ask("MAIL FROM:<a@example.org>", "530"); !strings.Contains(line, "5.7.0") {
		t.Errorf("the refusal has no enhanced code 5.7.0: %q", line)
	}
	c.ask("RCPT TO:<b@example.net>", "5")
	c.ask("DATA", "5")
}

func TestUsersChangeWithoutRestart(t *testing.T) {
	d := newDaemon(t, "").start()
	if err := login(d.Submission, user, password); err != nil {
		t.Fatal(err)
	}
	if err := login(d.Submission, "late", "secret-of-late"); err == nil {
		t.Fatal("a user that does not exist was let in")
	}
	add := exec.Command(binary, "user", "add", "-c", d.config, "late")
	add.Stdin = strings.NewReader("secret-of-late\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("user add: %v\n%s", err, out)
	}
	eventually(t, "the new user is known", func() error { return login(d.Submission, "late", "secret-of-late") })
	if _, errs, code := d.run("user", "remove", user); code != 0 {
		t.Fatalf("user remove: exit %d\n%s", code, errs)
	}
	eventually(t, "the old user is gone", func() error {
		if login(d.Submission, user, password) == nil {
			return fmt.Errorf("still let in")
		}
		return nil
	})
}

func TestBrokenReloadIsRefused(t *testing.T) {
	const gauge = "postrider_config_last_reload_successful"
	d := newDaemon(t, "").start()
	good, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	d.write(string(good) + "retry: { lifetime: tomorrow }\n")
	d.signal(syscall.SIGHUP)
	eventually(t, "the metric shows the refusal", func() error {
		if v := d.metric(gauge); v != "0" {
			return fmt.Errorf("%s is %s", gauge, v)
		}
		return nil
	})
	if log := d.log.String(); !strings.Contains(log, "retry.lifetime") || !strings.Contains(log, filepath.Base(d.config)+":") {
		t.Errorf("the log does not name file, line and key:\n%s", log)
	}
	if err := login(d.Submission, user, password); err != nil {
		t.Errorf("the old configuration is no longer in force: %v", err)
	}
	d.write(string(good) + "retry: { lifetime: 2d }\n")
	eventually(t, "the mended file is taken", func() error {
		if v := d.metric(gauge); v != "1" {
			return fmt.Errorf("%s is %s", gauge, v)
		}
		return nil
	})
	logged := func(what string) {
		t.Helper()
		eventually(t, "the log says "+what, func() error {
			if !strings.Contains(d.log.String(), what) {
				return errors.New("it does not")
			}
			return nil
		})
	}
	logged(`"changed":"retry"`)
	d.write(strings.Replace(string(good), "/state\n", "/elsewhere\n", 1) + "memory: 100MiB\n")
	before, _, _ := strings.Cut(string(good), "state_dir:")
	line := fmt.Sprint(1 + strings.Count(before, "\n"))
	logged(filepath.Base(d.config) + ":" + line + ": state_dir: has changed from " + d.dir + "/state, which only a restart can put in force")
}

// TestReloadWaitsForAFile: a configuration that came before the secret it names, as
// mounts of Kubernetes do, is taken when the secret comes.
func TestReloadWaitsForAFile(t *testing.T) {
	d := newDaemon(t, "").start()
	good, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(d.dir, "late-secret")
	d.write(string(good) + "routes: [{name: late, smarthosts: [\"smtp://user@127.0.0.1:9\"], tls: require, password_file: " + secret + "}]\n")
	eventually(t, "the configuration is refused", func() error {
		if !strings.Contains(d.log.String(), "can't read "+secret) {
			return errors.New("it is not")
		}
		return nil
	})
	if err := os.WriteFile(secret, []byte("password"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the configuration is taken", func() error {
		if !strings.Contains(d.log.String(), `"changed":"routes"`) {
			return errors.New("it is not")
		}
		return nil
	})
	if n := strings.Count(d.log.String(), "was refused"); n != 1 {
		t.Errorf("the same refusal was logged %d times", n)
	}
}

// TestReloadOfWhatStarts: the admin listener moves, other bounds hold, and what
// can't change in a running relay keeps nothing else back.
func TestReloadOfWhatStarts(t *testing.T) {
	to := newSink(t, "")
	d := newDaemon(t, "").start()
	good, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	was, is := d.Admin, smtptest.FreeAddress(t)
	_, port, _ := net.SplitHostPort(is)
	for _, address := range []string{is, ":" + port} {
		d.Admin = "127.0.0.1:" + port
		d.write(strings.Replace(string(good), was, address, 1) + fmt.Sprintf(`memory: 100MiB
delivery: { recipients_per_transaction: 2 }
routes: [{smarthosts: ["smtp://%s"], tls: none}]
# %s
`, to.Addr, address))
		eventually(t, "the admin listener has moved to "+address, func() error {
			if n := strings.Count(d.log.String(), `"msg":"reloaded"`); n == 0 || address != is && n < 2 {
				return fmt.Errorf("%d reloads", n)
			}
			return get("http://" + d.Admin + "/readyz")
		})
	}
	if err := get("http://" + was + "/readyz"); err == nil {
		t.Error("the old admin listener is still open")
	}
	if log := d.log.String(); !strings.Contains(log, `"key":"queue.memory","in_force":"24MiB"`) {
		t.Errorf("the log does not say what waits for a restart:\n%s", log)
	}
	c := dial(t, d.Open)
	c.expect("220")
	c.ask("EHLO client.test", "250")
	c.ask("MAIL FROM:<a@example.org>", "250")
	for i := range 5 {
		c.ask(fmt.Sprintf("RCPT TO:<rcpt%d@example.net>", i), "250")
	}
	c.ask("DATA", "354")
	c.ask("Subject: five\r\n\r\nrecipients\r\n.", "250")
	d.waitEmpty()
	if n := to.count(); n != 3 {
		t.Errorf("five recipients went in %d transactions, want 3 of at most two each", n)
	}
}

// TestDrain asks the daemon to stop while one client is idle and another is in the
// middle of a message.
func TestDrain(t *testing.T) {
	to := newSink(t, "")
	d := newDaemon(t, fmt.Sprintf("routes: [{smarthosts: [\"smtp://%s\"], tls: none}]\n", to.Addr)).start()
	idle, busy := dial(t, d.Open), dial(t, d.Open)
	idle.expect("220")
	busy.expect("220")
	busy.ask("EHLO client.test", "250")
	busy.ask("MAIL FROM:<a@example.org>", "250")
	busy.ask("RCPT TO:<b@example.net>", "250")
	busy.ask("DATA", "354")

	d.signal(syscall.SIGTERM)
	idle.expect("421")
	late := dial(t, d.Open)
	late.expect("421")
	if err := get("http://" + d.Admin + "/readyz"); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("readiness during the drain: %v", err)
	}
	if err := get("http://" + d.Admin + "/livez"); err != nil {
		t.Errorf("liveness during the drain: %v", err)
	}
	busy.ask("Subject: finished\r\n\r\nduring the drain\r\n.", "250")
	<-d.done
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	d.start()
	d.waitEmpty()
	if to.count() != 1 {
		t.Errorf("%d messages arrived, 1 was acknowledged", to.count())
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	d := newDaemon(t, "shutdown_timeout: 5m\n").start()
	stuck := dial(t, d.Open)
	stuck.expect("220")
	stuck.ask("EHLO client.test", "250")
	stuck.ask("MAIL FROM:<a@example.org>", "250")
	stuck.ask("RCPT TO:<b@example.net>", "250")
	stuck.ask("DATA", "354")
	idle := dial(t, d.Open)
	idle.expect("220")
	d.signal(syscall.SIGTERM)
	idle.expect("421")      // the signal has arrived
	late := dial(t, d.Open) // answered 421: the drain has begun
	late.expect("421")
	d.signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(patience):
		t.Fatal("the second SIGTERM did not end it")
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestSecondDaemonIsRefused(t *testing.T) {
	d := newDaemon(t, "").start()
	_, errs, code := d.run("serve")
	if code != 75 {
		t.Errorf("exit code %d instead of 75", code)
	}
	if pid := fmt.Sprint(d.cmd.Process.Pid); !strings.Contains(errs, pid) {
		t.Errorf("the message does not name the holder, process %s:\n%s", pid, errs)
	}
}
