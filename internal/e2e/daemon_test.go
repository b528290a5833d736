package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/smtptest"
)

// patience bounds every wait for something that should happen soon. It is long
// because the machines that run these tests are slow and shared.
const patience = 60 * time.Second

var binary string // the program under test, built once

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "postrider-e2e")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "postrider")
	build := exec.Command("go", "build", "-o", binary, "github.com/postrider/postrider/cmd/postrider")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building postrider:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// daemon is a running relay and what is needed to reach it.
type daemon struct {
	t          testing.TB
	dir        string // holds the configuration, the users and the state
	config     string
	Submission string // AUTH, STARTTLS, for user app with password secret-of-app
	Open       string // auth: none, identity local
	Admin      string

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	log  *logBuffer
}

const (
	user     = "app"
	password = "secret-of-app"
)

// newDaemon writes a configuration, to which extra is appended, and a user. It
// starts nothing.
func newDaemon(t testing.TB, extra string) *daemon {
	t.Helper()
	dir := t.TempDir()
	d := &daemon{
		t: t, dir: dir, config: filepath.Join(dir, "postrider.yaml"),
		Submission: smtptest.FreeAddress(t), Open: smtptest.FreeAddress(t), Admin: smtptest.FreeAddress(t),
		log: &logBuffer{},
	}
	d.write(fmt.Sprintf(`hostname: relay.test
state_dir: %[1]s/state
listeners:
  - address: "%[2]s"
    tls: starttls
    auth: required
  - address: "%[3]s"
    tls: none
    auth: none
    identity: local
auth: { users_file: %[1]s/users }
admin: { address: "%[4]s" }
%[5]s`, dir, d.Submission, d.Open, d.Admin, extra))
	if err := os.WriteFile(filepath.Join(dir, "users"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	add := exec.Command(binary, "user", "add", "-c", d.config, user)
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("user add: %v\n%s", err, out)
	}
	return d
}

func (d *daemon) write(yaml string) {
	d.t.Helper()
	if err := os.WriteFile(d.config, []byte(yaml), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// start runs the daemon and waits until it is ready. It is stopped at the end
// of the test.
func (d *daemon) start() *daemon {
	d.t.Helper()
	d.cmd = exec.Command(binary, "serve", "-c", d.config)
	d.cmd.Stderr = d.log
	d.cmd.Stdout = d.log
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	done := make(chan struct{})
	d.done = done
	go func(cmd *exec.Cmd) { cmd.Wait(); close(done) }(d.cmd)
	d.t.Cleanup(func() { d.kill() })
	eventually(d.t, "the daemon is ready", func() error {
		select {
		case <-done:
			d.t.Fatalf("the daemon ended:\n%s", d.log)
		default:
		}
		return get("http://" + d.Admin + "/readyz")
	})
	return d
}

// kill ends the daemon as a power cut would, as far as a process can.
func (d *daemon) kill() {
	d.cmd.Process.Signal(syscall.SIGKILL)
	<-d.done
}

// stop asks the daemon to end and returns its exit code.
func (d *daemon) stop() int {
	d.t.Helper()
	d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.done:
	case <-time.After(patience):
		d.cmd.Process.Signal(syscall.SIGQUIT)
		<-d.done
		d.t.Fatalf("the daemon did not stop:\n%s", d.log)
	}
	return d.cmd.ProcessState.ExitCode()
}

// run runs a command of the program with the daemon's configuration.
func (d *daemon) run(args ...string) (stdout, stderr string, code int) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Env = append(os.Environ(), "POSTRIDER_CONFIG="+d.config)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatalf("postrider %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// entry is a line of queue list --json.
type entry struct {
	ID, State, From, Route, Destination string
	To                                  []struct{ Address, State, Reason string }
	Size                                int64
	Attempts                            int
	Arrival, Due                        time.Time
}

// queue lists what waits.
func (d *daemon) queue() []entry {
	d.t.Helper()
	out, errs, code := d.run("queue", "list", "--json")
	if code != 0 {
		d.t.Fatalf("queue list: exit %d\n%s", code, errs)
	}
	var list []entry
	dec := json.NewDecoder(strings.NewReader(out))
	for dec.More() {
		var e entry
		if err := dec.Decode(&e); err != nil {
			d.t.Fatalf("queue list --json: %v\n%s", err, out)
		}
		list = append(list, e)
	}
	return list
}

// waitEmpty waits until nothing is queued.
func (d *daemon) waitEmpty() {
	d.t.Helper()
	eventually(d.t, "the queue is empty", func() error {
		if list := d.queue(); len(list) > 0 {
			return fmt.Errorf("%d messages left, the first: %+v", len(list), list[0])
		}
		return nil
	})
}

// events returns the daemon's log lines of one kind.
func (d *daemon) events(kind string) []map[string]any {
	var found []map[string]any
	for line := range strings.Lines(d.log.String()) {
		var e map[string]any
		if json.Unmarshal([]byte(line), &e) == nil && e["event"] == kind {
			found = append(found, e)
		}
	}
	return found
}

func get(url string) error {
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	return nil
}

// eventually waits until ok returns nil.
func eventually(t testing.TB, what string, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %v until %s: %v", patience, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// logBuffer collects what the daemon writes.
type logBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
