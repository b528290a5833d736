package relay

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/eventlog"
	"github.com/postrider/postrider/relay/admin"
)

// explaining opens a relay of a configuration, which lacks hostname and state_dir.
func explaining(t *testing.T, text string) *Relay {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "postrider.yaml")
	text = "hostname: relay.test\nstate_dir: " + dir + "/state\n" + text
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	load := func() (*config.Config, error) { return config.Load(file, nil) }
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(Options{Config: c, Load: load, Log: eventlog.Open(io.Discard, config.Log{})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Stop(t.Context()) })
	return r
}

// TestExplainJudgesAsASessionWould: by the user's groups and by the listener.
func TestExplainJudgesAsASessionWould(t *testing.T) {
	r := explaining(t, `
listeners: [{name: inside, address: "127.0.0.1:0", auth: none, tls: none}]
auth: {groups: {robots: [billing, cron]}}
policies:
  - {name: inside, match: {listener: inside}}
  - {name: robots, match: {group: robots}, senders: ["*@example.com"]}
routes: [{smarthosts: ["smtp://192.0.2.1"], tls: none}]
`)
	for _, row := range []struct {
		why             string
		as, listener    string
		policy, verdict string
	}{
		{"a member of a group", "billing", "", "robots", "refused: 550 5.7.1 policy \"robots\""},
		{"nobody's member", "somebody", "", "", "refused: 550 5.7.1 "},
		{"by the listener", "billing", "inside", "inside", "accepted"},
	} {
		x, err := r.explain(t.Context(), admin.Question{To: "b@example.net", From: "a@example.org", As: row.as, Listener: row.listener})
		if err != nil {
			t.Fatal(err)
		}
		if x.Policy != row.policy || !strings.HasPrefix(x.Verdict, row.verdict) {
			t.Errorf("%s: policy %q, %s", row.why, x.Policy, x.Verdict)
		}
	}
}

// TestExplainPostmaster: without a domain it is ours, as in a session.
func TestExplainPostmaster(t *testing.T) {
	r := explaining(t, `
listeners: [{name: inside, address: "127.0.0.1:0", auth: none, tls: none}]
policies: [{match: {listener: inside}, recipients: {deny: ["postmaster@*"]}}]
routes: [{smarthosts: ["smtp://192.0.2.1"], tls: none}]
`)
	x, err := r.explain(t.Context(), admin.Question{To: "postmaster", Listener: "inside"})
	if err != nil || !strings.Contains(x.Verdict, "denied: postmaster@*") {
		t.Errorf("%+v, %v", x, err)
	}
}

// TestSenselessQuestions are their asker's fault, and not ours.
func TestSenselessQuestions(t *testing.T) {
	r := explaining(t, `listeners: [{address: "127.0.0.1:0", auth: none, tls: none}]`)
	for _, q := range []admin.Question{
		{To: "nobody"}, {To: "b@example.net", From: "nobody"}, {To: "b@example.net", Listener: "nosuch"},
	} {
		_, err := r.explain(t.Context(), q)
		if answer, ok := errors.AsType[*admin.Error](err); !ok || answer.Kind != admin.BadRequest {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// TestExplainTellsWhatFaultsDo: those that return mail, and those that it waits out.
func TestExplainTellsWhatFaultsDo(t *testing.T) {
	r := explaining(t, `listeners: [{address: "127.0.0.1:0", auth: none, tls: none}]
dns: {servers: ["127.0.0.1:1"], timeout: 100ms}
delivery: {address_literals: false}
routes: [{match: {recipient_domain: smart.example}, smarthosts: ["smtp://nosuch.example"]}]
`)
	for _, row := range []struct {
		why, to string
		want    bool
	}{
		{"a recipient that can't be written to", "b@[192.0.2.1]", true},
		{"no DNS", "b@example.net", false},
		{"a smarthost that can't be found", "b@smart.example", false},
	} {
		x, err := r.explain(t.Context(), admin.Question{To: row.to})
		if err != nil {
			t.Fatal(err)
		}
		if x.Fault == "" || x.Returned != row.want {
			t.Errorf("%s: fault %q, returned %v", row.why, x.Fault, x.Returned)
		}
	}
}
