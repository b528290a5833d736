package relay

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/eventlog"
	"github.com/postrider/postrider/relay/admin"
)

// TestExplainJudgesAsASessionWould: by the user's groups and by the listener.
func TestExplainJudgesAsASessionWould(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "postrider.yaml")
	text := `hostname: relay.test
state_dir: ` + dir + `/state
listeners: [{name: inside, address: "127.0.0.1:0", auth: none, tls: none}]
auth: {groups: {robots: [billing, cron]}}
policies:
  - {name: inside, match: {listener: inside}}
  - {name: robots, match: {group: robots}, senders: ["*@example.com"]}
routes: [{smarthosts: ["smtp://192.0.2.1"], tls: none}]
`
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
	defer r.Stop(t.Context())
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
