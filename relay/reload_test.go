package relay

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/eventlog"
)

// TestProfilesOfARefusedReload: what a refused configuration says of profiles is
// not in force.
func TestProfilesOfARefusedReload(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "postrider.yaml")
	write := func(listener, admin string) {
		t.Helper()
		text := fmt.Sprintf("hostname: relay.test\nstate_dir: %s/state\nlisteners: [{address: %q, auth: none, tls: none}]\nadmin: %s\n", dir, listener, admin)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sampled := func() bool { return runtime.SetMutexProfileFraction(-1) != 0 }
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()

	write("127.0.0.1:0", `{address: ""}`)
	load := func() (*config.Config, error) { return config.Load(file, nil) }
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(Options{Config: c, Load: load, Log: eventlog.Open(io.Discard, config.Log{})})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer r.Stop(t.Context())

	write(taken.Addr().String(), `{address: "127.0.0.1:0", pprof: true}`)
	if err := r.Reload(); err == nil {
		t.Fatal("a listener at a port that is taken was accepted")
	}
	if sampled() {
		t.Error("waiting is sampled by a configuration that was refused")
	}
	write("127.0.0.1:0", `{address: "127.0.0.1:0", pprof: true}`)
	if err := r.Reload(); err != nil || !sampled() {
		t.Errorf("waiting is not sampled: %v", err)
	}
	write("127.0.0.1:0", `{address: ""}`)
	if err := r.Reload(); err != nil || sampled() {
		t.Errorf("waiting is sampled without an admin listener: %v", err)
	}
}
