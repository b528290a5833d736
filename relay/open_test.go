package relay

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/eventlog"
	"github.com/postrider/postrider/queue/spool"
)

// selfSignedFile is where f keeps the certificate it made.
func (f *fixture) selfSignedFile() []byte {
	f.t.Helper()
	b, err := os.ReadFile(filepath.Join(f.dir, "state", "tls", "self-signed.crt"))
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// TestASecondRelayChangesNothing: it is refused before it writes to what is another's.
func TestASecondRelayChangesNothing(t *testing.T) {
	f := start(t, nil)
	before := f.selfSignedFile()
	f.write(keys{"hostname": "other.test"})
	c, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	log := eventlog.Open(f.log, config.Log{})
	defer log.Close()
	var locked *spool.LockedError
	if _, err := Open(Options{Config: c, Load: f.load, Log: log}); !errors.As(err, &locked) {
		t.Fatalf("a second relay: %v", err)
	}
	if !bytes.Equal(before, f.selfSignedFile()) {
		t.Error("it replaced the certificate of the first")
	}
}

// TestOpenLetsGo: what could not be opened leaves the state directory to the next.
func TestOpenLetsGo(t *testing.T) {
	f := open(t, nil)
	if err := f.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.write(keys{"auth": `{users_file: ` + f.file + `}`})
	c, err := f.load()
	if err != nil {
		t.Fatal(err)
	}
	log := eventlog.Open(f.log, config.Log{})
	defer log.Close()
	for range 2 {
		var locked *spool.LockedError
		if _, err := Open(Options{Config: c, Load: f.load, Log: log}); err == nil || errors.As(err, &locked) {
			t.Errorf("with a users file that is none: %v", err)
		}
	}
}

// TestARefusedReloadChangesNothing: the certificate on disk stays that of the
// configuration in force.
func TestARefusedReloadChangesNothing(t *testing.T) {
	f := start(t, nil)
	before := f.selfSignedFile()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f.write(keys{"hostname": "other.test", "listeners": `[{address: "` + taken.Addr().String() + `", auth: none, tls: none}]`})
	if err := f.Reload(); err == nil {
		t.Fatal("a listener at a port that is taken was accepted")
	}
	if !bytes.Equal(before, f.selfSignedFile()) {
		t.Error("a refused reload replaced the certificate")
	}
	f.reload(keys{"listeners": `[{address: "127.0.0.1:0", auth: none, tls: none}]`})
	if bytes.Equal(before, f.selfSignedFile()) {
		t.Error("a reload did not keep the new certificate")
	}
}
