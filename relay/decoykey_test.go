package relay

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/policy"
)

// TestNobodysSalt: SCRAM shows the same salt for a name that is nobody's before and
// after a restart, as for any other. Who has another state directory has another.
func TestNobodysSalt(t *testing.T) {
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	if err := policy.AddUser(users, "billing", "secret", true); err != nil {
		t.Fatal(err)
	}
	salt := func(state string) string {
		f := open(t, keys{"state_dir": filepath.Join(dir, state), "auth": "{users_file: " + users + "}"})
		defer f.Stop(t.Context())
		c := &policy.Client{Remote: new(net.TCPAddr)}
		server, err := f.rules.Load().authenticator.Start(t.Context(), c, policy.MechanismScram, nil)
		if err != nil {
			t.Fatal(err)
		}
		challenge, _, err := server.Next([]byte("n,,n=nobody,r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		_, salt, _ := strings.Cut(string(challenge), ",") // behind the nonce
		return salt
	}
	before, after, elsewhere := salt("a"), salt("a"), salt("b")
	if before != after || before == elsewhere {
		t.Errorf("%q, after a restart %q, of another state directory %q", before, after, elsewhere)
	}
	file := filepath.Join(dir, "a", "decoy-key")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.Truncate(file, 0); err != nil {
		t.Fatal(err)
	}
	if torn := salt("a"); torn == before {
		t.Error("a key of nothing is the key there was")
	}
	if info, err := os.Stat(file); err != nil || info.Size() != decoyKeySize {
		t.Errorf("a torn key stays: %v, %v", info, err)
	}
	if err := os.Truncate(file, decoyKeySize-1); err != nil {
		t.Fatal(err)
	}
	if _, err := loadDecoyKey(filepath.Join(dir, "a")); err == nil || !strings.Contains(err.Error(), "31 octets") {
		t.Errorf("a key too short: %v", err)
	}
}
