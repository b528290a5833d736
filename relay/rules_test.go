package relay

import (
	"strings"
	"testing"
)

// TestWarningsAreLogged: at the start and when a reload brings one.
func TestWarningsAreLogged(t *testing.T) {
	f := open(t, keys{"hostname": "3f2a9c"})
	name := f.file + `:2: hostname: \"3f2a9c\" has no domain`
	limit := ": policies[0].limits.recipients: 2000 is beyond submission.max_recipients (1000)"
	f.reload(keys{"policies": "[{limits: {recipients: 2000}}]"})
	f.Relay.log.Close()
	if log := f.log.String(); strings.Count(log, name) != 2 || strings.Count(log, limit) != 1 {
		t.Errorf("no %s, or no %s, in\n%s", name, limit, log)
	}
}
