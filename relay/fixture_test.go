package relay

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/eventlog"
	"github.com/postrider/postrider/queue"
)

// patience bounds every wait for something that should happen soon.
const patience = time.Minute

// keys are the configuration of a test: YAML by its top-level key.
type keys map[string]string

// fixture is a relay and its configuration file.
type fixture struct {
	*Relay
	t    *testing.T
	dir  string
	file string
	keys keys
	log  *logText
	out  *eventlog.Log // writes to log
}

// open opens a relay of the usual configuration changed by k. The test's end stops it.
func open(t *testing.T, k keys) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{t: t, dir: dir, file: filepath.Join(dir, "postrider.yaml"), log: new(logText), keys: keys{
		"hostname":  "relay.test",
		"state_dir": filepath.Join(dir, "state"),
		"listeners": `[{address: "127.0.0.1:0", auth: none, tls: none}]`,
		"admin":     `{address: ""}`,
	}}
	f.write(k)
	c, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	f.out = eventlog.Open(f.log, c.Log)
	t.Cleanup(f.out.Close)
	if f.Relay, err = Open(Options{Config: c, Load: f.load, Log: f.out}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Stop(t.Context()) })
	return f
}

// start is open, and runs the relay.
func start(t *testing.T, k keys) *fixture {
	t.Helper()
	f := open(t, k)
	if err := f.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) load() (*config.Config, error) { return config.Load(f.file, nil) }

// write changes the configuration file, and tells nobody.
func (f *fixture) write(k keys) {
	f.t.Helper()
	maps.Copy(f.keys, k)
	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(f.keys)) {
		fmt.Fprintf(&text, "%s: %s\n", key, f.keys[key])
	}
	if err := os.WriteFile(f.file, []byte(text.String()), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// reload puts a changed configuration in force.
func (f *fixture) reload(k keys) {
	f.t.Helper()
	f.write(k)
	if err := f.Reload(); err != nil {
		f.t.Fatal(err)
	}
}

// client is one who has connected to the first listener.
type client struct {
	t *testing.T
	*textproto.Conn
}

func (f *fixture) connect() *client {
	f.t.Helper()
	conn, err := net.Dial("tcp", f.Addrs()[0].String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		f.t.Fatal(err)
	}
	return &client{f.t, textproto.NewConn(conn)}
}

// greeted is connect, and has said EHLO.
func (f *fixture) greeted() *client {
	f.t.Helper()
	c := f.connect()
	c.want(220)
	c.do("EHLO client.test", 250)
	return c
}

// want reads a reply, which is to have that code, and returns its text.
func (c *client) want(code int) string {
	c.t.Helper()
	_, text, err := c.ReadResponse(code)
	if err != nil {
		c.t.Fatalf("want %d: %v", code, err)
	}
	return text
}

// do says line and wants a reply of that code.
func (c *client) do(line string, code int) string {
	c.t.Helper()
	if err := c.PrintfLine("%s", line); err != nil {
		c.t.Fatal(err)
	}
	return c.want(code)
}

// submit has a message to each of to accepted, and returns its id.
func (f *fixture) submit(to ...string) string {
	f.t.Helper()
	return f.submitText("Subject: hello\r\n\r\nbody", to...)
}

func (f *fixture) submitText(text string, to ...string) string {
	f.t.Helper()
	c := f.greeted()
	defer c.Close()
	c.do("MAIL FROM:<a@example.org>", 250)
	for _, rcpt := range to {
		c.do("RCPT TO:<"+rcpt+">", 250)
	}
	c.do("DATA", 354)
	words := strings.Fields(c.do(text+"\r\n.", 250))
	return words[len(words)-1]
}

// hold keeps all mail that comes from now on.
func (f *fixture) hold() {
	f.t.Helper()
	if err := f.queue.AddHoldRule(queue.HoldRule{Field: queue.HoldAll}); err != nil {
		f.t.Fatal(err)
	}
}

// waiting lists what is queued.
func (f *fixture) waiting() []queue.Entry {
	f.t.Helper()
	list, _, err := f.queue.List(f.t.Context(), queue.Selector{}, queue.DeliveryKey{}, 100)
	if err != nil {
		f.t.Fatal(err)
	}
	return list
}

// logged ends the log and returns it.
func (f *fixture) logged() string {
	f.out.Close()
	return f.log.String()
}

// logText is what has been logged.
type logText struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
