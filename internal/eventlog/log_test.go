package eventlog

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

var update = flag.Bool("update", false, "write the golden files")

var (
	noon   = time.Date(2026, 11, 22, 12, 0, 0, 123e6, time.UTC)
	sender = &mail.Path{Address: mail.MustParseAddress("billing@example.com")}
	null   = &mail.Path{}
	id     = mail.FirstID(noon)
	ann    = mail.MustParseAddress("ann@example.net")
	bob    = mail.MustParseAddress(`"bob smith"@example.net`)
	peer   = netip.MustParseAddrPort("192.0.2.1:25")
)

// story is one event of each kind, as the rooms record them.
func story() []mail.Event {
	return []mail.Event{
		{Kind: mail.EventConnect, Listener: ":5870", Address: netip.MustParseAddrPort("198.51.100.7:40000")},
		{Kind: mail.EventAuth, Listener: ":5870", Identity: "billing", Mechanism: "PLAIN", Host: "app", TLS: "TLSv1.3",
			Address: netip.MustParseAddrPort("198.51.100.7:40000"), Reply: mail.Reply{Code: 235, Enhanced: mail.EnhancedCode{2, 7, 0}}},
		{Kind: mail.EventAuth, Identity: "billing", Mechanism: "PLAIN", Host: "app", Address: netip.MustParseAddrPort("198.51.100.7:40000"),
			Reply: mail.Reply{Code: 535, Enhanced: mail.EnhancedCode{5, 7, 8}, Text: "authentication failed"}},
		{Kind: mail.EventAccepted, ID: id, MessageID: "<1@example.com>", Identity: "billing", Mechanism: "PLAIN", From: sender,
			To: []mail.Address{ann, bob}, Size: 10240, Host: "app", Address: netip.MustParseAddrPort("198.51.100.7:40000"), TLS: "TLSv1.3",
			Reply: mail.Reply{Code: 250, Enhanced: mail.EnhancedCode{2, 0, 0}, Text: "queued"}},
		{Kind: mail.EventRejected, Identity: "billing", From: sender, To: []mail.Address{ann}, Host: "app",
			Reply: mail.Reply{Code: 550, Enhanced: mail.EnhancedCode{5, 7, 1}, Text: "policies[0] denies it"}},
		{Kind: mail.EventDelivered, ID: id, From: sender, To: []mail.Address{ann}, Route: "mx", Domain: mail.MustParseDomain("example.net"),
			Host: "mx1.example.net", Address: peer, TLS: "TLSv1.3", Attempt: 1, Delay: 1234500 * time.Microsecond,
			Reply:  mail.Reply{Code: 250, Enhanced: mail.EnhancedCode{2, 0, 0}, Text: "ok"},
			Phases: []mail.Phase{{Name: "dns", Took: 1500 * time.Microsecond}, {Name: "connect", Took: 20 * time.Millisecond}}},
		{Kind: mail.EventDeferred, ID: id, From: null, To: []mail.Address{bob}, Route: "mx", Host: "mx1.example.net", Address: peer, Attempt: 2,
			Delay: time.Minute, Next: noon.Add(5 * time.Minute), Reply: mail.Reply{Code: 451, Text: "first line\nsecond line"}},
		{Kind: mail.EventDeferred, ID: id, From: sender, To: []mail.Address{bob}, Attempt: 3, Delay: time.Hour,
			Err: errors.New("dial tcp 192.0.2.1:25: connection refused\nlevel=ERROR")},
		{Kind: mail.EventBounced, ID: id, From: sender, To: []mail.Address{ann}, Host: "mx1.example.net", Address: peer, Attempt: 1, Delay: time.Second,
			Reply: mail.Reply{Code: 550, Enhanced: mail.EnhancedCode{5, 1, 1}, Text: `no "such" user`}},
		{Kind: mail.EventExpired, ID: id, From: sender, To: []mail.Address{ann}, Delay: 120 * time.Hour, Attempt: 40},
		{Kind: mail.EventDelayed, ID: id, From: sender, To: []mail.Address{ann}, Delay: 4 * time.Hour},
		{Kind: mail.EventHeld, ID: id}, {Kind: mail.EventReleased, ID: id}, {Kind: mail.EventDeleted, ID: id},
		{Kind: mail.EventDead, ID: id, Err: errors.New("the report could not be delivered")},
	}
}

// render returns what a log in the given settings holds after write.
func render(t *testing.T, c config.Log, write func(*Log)) string {
	t.Helper()
	var b bytes.Buffer
	l := Open(&b, c)
	l.host, l.pid = "relay", 42
	write(l)
	l.Close()
	return b.String()
}

func TestEveryEventInEveryFormat(t *testing.T) {
	for _, f := range []config.LogFormat{config.LogJSON, config.LogText, config.LogPostfix} {
		t.Run(string(f), func(t *testing.T) {
			got := render(t, config.Log{Format: f, Level: config.LogDebug}, func(l *Log) {
				for _, e := range story() {
					e.Time = noon
					l.Record(e)
				}
			})
			golden := filepath.Join("testdata", string(f)+".golden")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("differs from %s:\n%s", golden, got)
			}
		})
	}
}

// What a client says in EHLO is no name that was verified: it must not lead a tool
// that bans to another address than the client's.
func TestPostfixClientIsItsAddress(t *testing.T) {
	client := netip.MustParseAddrPort("127.0.0.1:40000")
	for _, helo := range []string{"", "[127.0.0.1]", "app.example.com", "x[192.0.2.66]"} {
		out := render(t, config.Log{Format: config.LogPostfix, Level: config.LogDebug}, func(l *Log) {
			l.Record(mail.Event{Kind: mail.EventConnect, Time: noon, Host: helo, Address: client})
			l.Record(mail.Event{Kind: mail.EventAuth, Time: noon, Host: helo, Address: client, Mechanism: "PLAIN",
				Reply: mail.Reply{Code: 535, Text: "authentication failed"}})
			l.Record(mail.Event{Kind: mail.EventAccepted, Time: noon, ID: id, Host: helo, Mechanism: "PLAIN",
				Identity: "app", From: sender, Address: client})
			l.Record(mail.Event{Kind: mail.EventRejected, Time: noon, Host: helo, Address: client, Reply: mail.Reply{Code: 550}})
		})
		for _, want := range []string{
			"connect from unknown[127.0.0.1]\n", "warning: unknown[127.0.0.1]: SASL PLAIN",
			"client=unknown[127.0.0.1], sasl_method=PLAIN", "reject: from unknown[127.0.0.1]: 550",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("EHLO %q: no %q in\n%s", helo, want, out)
			}
		}
	}
}

// No character that a terminal obeys, and none that some take for the end of a
// line, stands in the log as it is.
func TestNothingMovesTheCursor(t *testing.T) {
	hostile := "a\u009b31m\u0085\u2028\u2029\x1b[2J\x7f\u00a0é…z"
	for _, f := range []config.LogFormat{config.LogJSON, config.LogText, config.LogPostfix} {
		out := render(t, config.Log{Format: f, Level: config.LogDebug}, func(l *Log) {
			for _, e := range story() {
				e.Host, e.Identity, e.MessageID, e.Mechanism = hostile, hostile, hostile, hostile
				e.Reply.Text, e.Err = hostile, errors.New(hostile)
				l.Record(e)
			}
			l.Logger().Warn(hostile, "k", hostile)
		})
		for _, r := range strings.ReplaceAll(out, "\n", "") {
			if r == '\u2028' || r == '\u2029' || unicode.IsControl(r) {
				t.Errorf("%s: %U in the log", f, r)
				break
			}
		}
		if !strings.Contains(out, "\u00a0é…z") {
			t.Errorf("%s: what is harmless was changed too: %s", f, out)
		}
	}
}

// Whatever peers and the program say, each line is one JSON object.
func TestJSONLinesAreJSON(t *testing.T) {
	hostile := "quote \" back \\ bell \a del \x7f broken \xff\xfe sep \u2028 nul \x00 end\r\n{\"event\":\"delivered\"}"
	out := render(t, config.Log{Format: config.LogJSON, Level: config.LogDebug}, func(l *Log) {
		for _, e := range story() {
			e.Host, e.Reply = hostile, mail.Reply{Code: 250, Text: hostile}
			e.Err = errors.New(hostile + strings.Repeat("é", maxText))
			l.Record(e)
		}
		g := l.Logger().With("room", "test").WithGroup("g").With("x", 1)
		g.Warn(hostile, "err", errors.New(hostile), "took", time.Second, "yes", true, "half", 0.5, "at", noon,
			slog.Group("inner", "k", hostile))
	})
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != len(story())+1 {
		t.Fatalf("%d lines for %d events and one message", len(lines), len(story()))
	}
	for _, line := range lines {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Errorf("%v: %s", err, line)
		}
	}
	var last map[string]any
	_ = json.Unmarshal([]byte(lines[len(lines)-1]), &last)
	for key, want := range map[string]any{"level": "WARN", "room": "test", "g.x": 1.0, "g.took": "1s", "g.yes": true, "g.half": 0.5} {
		if last[key] != want {
			t.Errorf("%s is %v, want %v", key, last[key], want)
		}
	}
	if _, ok := last["g.inner.k"]; !ok {
		t.Errorf("no g.inner.k in %v", last)
	}
}

func TestLevels(t *testing.T) {
	for _, tc := range []struct {
		level config.LogLevel
		want  int
		why   string
	}{
		{config.LogDebug, 3, "everything"},
		{config.LogInfo, 2, "a connection alone is no news"},
		{config.LogWarn, 1, "mail taking its way is no warning, a dead letter is"},
		{config.LogError, 0, "no event is an error of the program"},
	} {
		out := render(t, config.Log{Format: config.LogJSON, Level: tc.level}, func(l *Log) {
			l.Record(mail.Event{Kind: mail.EventConnect})
			l.Record(mail.Event{Kind: mail.EventDelivered})
			l.Record(mail.Event{Kind: mail.EventDead})
		})
		if got := strings.Count(out, "\n"); got != tc.want {
			t.Errorf("level %s wrote %d lines, want %d: %s", tc.level, got, tc.want, tc.why)
		}
	}
}

func TestApplyChangesFormatAndLevel(t *testing.T) {
	out := render(t, config.Log{Format: config.LogJSON, Level: config.LogInfo}, func(l *Log) {
		logger := l.Logger()
		logger.Info("one")
		l.Apply(config.Log{Format: config.LogText, Level: config.LogDebug})
		logger.Debug("two words")
	})
	if !strings.HasPrefix(out, `{"time":`) || !strings.HasSuffix(out, "level=DEBUG msg=\"two words\"\n") {
		t.Errorf("got %s", out)
	}
}

// stuck is a stderr that nobody reads until release is closed.
type stuck struct {
	release chan struct{}
	mu      sync.Mutex
	bytes.Buffer
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.Write(p)
}

// A reader of stderr that stops must not stop the relay, nor let it grow; what it
// missed is counted.
func TestStuckReader(t *testing.T) {
	w := &stuck{release: make(chan struct{})}
	l := Open(w, config.Log{Format: config.LogJSON, Level: config.LogInfo})
	e := mail.Event{Kind: mail.EventDelivered, Host: strings.Repeat("h", 1000)}
	const events = 3 * maxBuffered / 1000
	for range events {
		l.Record(e)
	}
	l.out.mu.Lock()
	waiting := len(l.out.pending)
	l.out.mu.Unlock()
	if waiting > maxBuffered {
		t.Errorf("%d octets wait", waiting)
	}
	close(w.release)
	l.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	var told struct{ Lines int }
	written := 0
	for line := range strings.Lines(w.String()) {
		if strings.Contains(line, "dropped") {
			var one struct{ Lines int }
			if err := json.Unmarshal([]byte(line), &one); err != nil {
				t.Fatal(err)
			}
			told.Lines += one.Lines
		} else {
			written++
		}
	}
	if told.Lines == 0 || written+told.Lines != events {
		t.Errorf("%d written, %d told to be dropped, of %d", written, told.Lines, events)
	}
}

func TestCloseLosesNothingThatWasRecorded(t *testing.T) {
	var b bytes.Buffer
	l := Open(&b, config.Log{Format: config.LogJSON, Level: config.LogInfo})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				l.Record(mail.Event{Kind: mail.EventDelivered, ID: id})
			}
		})
	}
	wg.Wait()
	l.Close()
	l.Close()
	l.Record(mail.Event{Kind: mail.EventDelivered, ID: id})
	if got := strings.Count(b.String(), "\n"); got != 4000 {
		t.Errorf("%d lines of 4000", got)
	}
}

func BenchmarkDelivered(b *testing.B) {
	l := Open(io.Discard, config.Log{Format: config.LogJSON, Level: config.LogInfo})
	defer l.Close()
	e := story()[5]
	e.Time = noon
	b.ReportAllocs()
	for b.Loop() {
		l.Record(e)
	}
}
