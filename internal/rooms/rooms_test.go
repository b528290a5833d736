package rooms

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/postrider/postrider/"

// allowed lists, for each room, the rooms it may import. A room is the longest
// prefix that fits; a room may always import itself.
var allowed = map[string][]string{
	"cmd/postrider":    {"relay", "relay/admin", "policy", "routing", "queue", "queue/spool", "internal"},
	"relay":            {"relay/submission", "relay/delivery", "relay/admin", "queue", "queue/spool", "routing", "policy", "internal"},
	"relay/submission": {"queue", "policy", "internal"},
	"relay/delivery":   {"queue", "routing", "policy", "internal"},
	"relay/admin":      {"queue", "routing", "internal"},
	"queue":            {"queue/bounce", "internal"},
	"queue/spool":      {"queue", "internal"},
	"queue/bounce":     {"internal"},
	"queue/storetest":  {"queue", "internal"},
	"routing":          {"internal"},
	"policy":           {"internal"},
	"internal":         {},
	// Measures the rooms from outside; nothing imports it.
	"internal/bench": {"queue", "queue/spool", "internal"},
}

// owned lists libraries that only one room may know.
var owned = map[string]string{
	"github.com/cockroachdb/pebble": "queue/spool",
	"github.com/miekg/dns":          "routing",
	"github.com/alecthomas/kong":    "cmd/postrider",
	"github.com/goccy/go-yaml":      "internal",
}

func TestImportsPointOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		from := strings.TrimPrefix(fields[0], module)
		for _, path := range fields[1:] {
			if to, ours := strings.CutPrefix(path, module); ours {
				if !mayImport(room(from), room(to)) {
					t.Errorf("%s must not import %s: arrows point down, see docs/flow.md", from, to)
				}
				continue
			}
			for library, owner := range owned {
				if strings.HasPrefix(path, library) && room(from) != owner && !strings.HasPrefix(from, "internal/") {
					t.Errorf("%s must not import %s: only %s knows it", from, path, owner)
				}
			}
		}
	}
}

func mayImport(from, to string) bool {
	if from == to {
		return true
	}
	for _, a := range allowed[from] {
		if a == to {
			return true
		}
	}
	return false
}

// room returns the room a package lies in.
func room(path string) string {
	best := ""
	for r := range allowed {
		if (path == r || strings.HasPrefix(path, r+"/")) && len(r) > len(best) {
			best = r
		}
	}
	if best == "" {
		return path
	}
	return best
}
