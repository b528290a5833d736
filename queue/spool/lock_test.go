package spool

import (
	"bufio"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestLockedByAnotherProcess runs this test program once more as the process
// that has the spool open, and kills it.
func TestLockedByAnotherProcess(t *testing.T) {
	const variable = "POSTRIDER_TEST_HOLD_SPOOL"
	if dir := os.Getenv(variable); dir != "" {
		s := mustOpen(t, vfs.Default, dir)
		os.Stdout.WriteString("\nopen\n")
		bufio.NewReader(os.Stdin).ReadString('\n') // until killed
		s.Close()
		return
	}
	dir := t.TempDir()
	holder := exec.Command(os.Args[0], "-test.run=^TestLockedByAnotherProcess$")
	holder.Env = append(os.Environ(), variable+"="+dir)
	if _, err := holder.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "open"; {
	}

	_, err = Open(dir, Options{Logger: quiet})
	var locked *LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("opening a spool that is in use: %v", err)
	}
	host, _ := os.Hostname()
	if locked.PID != holder.Process.Pid || locked.Host != host || locked.Since.IsZero() || locked.Dir != dir {
		t.Errorf("the holder is process %d, the error says: %v", holder.Process.Pid, locked)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	holder.Wait() // says that it was killed

	mustOpen(t, vfs.Default, dir) // a kill leaves no lock
}

func TestLockedBySameProcess(t *testing.T) {
	for name, fs := range map[string]vfs.FS{"disk": vfs.Default, "memory": vfs.NewMem()} {
		dir := "spool"
		if name == "disk" {
			dir = t.TempDir()
		}
		s := mustOpen(t, fs, dir)
		_, err := Open(dir, Options{FS: fs, Logger: quiet})
		var locked *LockedError
		if !errors.As(err, &locked) || locked.PID != os.Getpid() {
			t.Errorf("%s: opening twice: %v", name, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		mustOpen(t, fs, dir)
	}
}

func TestDirectoryThatCantBeMade(t *testing.T) {
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(file+"/spool", Options{Logger: quiet})
	var locked *LockedError
	if err == nil || errors.As(err, &locked) || !strings.Contains(err.Error(), "making the spool") {
		t.Errorf("opening below a file: %v", err)
	}
}
