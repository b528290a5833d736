package relay

import (
	"path/filepath"
	"testing"

	"github.com/postrider/postrider/policy"
)

// TestReloadReachesOpenSessions: who has logged in follows his groups, and sends
// nothing once he is gone.
func TestReloadReachesOpenSessions(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	for _, name := range []string{"billing", "shop"} {
		if err := policy.AddUser(users, name, "secret", false); err != nil {
			t.Fatal(err)
		}
	}
	auth := func(staging string) string {
		return "{users_file: " + users + ", groups: {staging: [" + staging + "]}}"
	}
	f := start(t, keys{
		"listeners": `[{address: "127.0.0.1:0", tls: none, auth: required, allow_insecure_auth: true}]`,
		"auth":      auth("shop"),
		"policies":  `[{match: {group: staging}, senders: ["*@staging.example"]}, {}]`,
	})
	c := f.greeted()
	c.do("AUTH PLAIN AGJpbGxpbmcAc2VjcmV0", 235)
	c.do("MAIL FROM:<a@example.com>", 250)
	c.do("RSET", 250)

	f.reload(keys{"auth": auth("billing")})
	c.do("MAIL FROM:<a@example.com>", 550)
	c.do("MAIL FROM:<a@staging.example>", 250)
	c.do("RSET", 250)

	if err := policy.RemoveUser(users, "billing"); err != nil {
		t.Fatal(err)
	}
	f.reload(nil)
	c.do("MAIL FROM:<a@staging.example>", 421)
}
