package relay

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/eventlog"
)

func TestDiffer(t *testing.T) {
	dir := t.TempDir()
	file, other, link := filepath.Join(dir, "file"), filepath.Join(dir, "other"), filepath.Join(dir, "link")
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(file, "one")
	put(other, "two")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	files := []string{file, link, filepath.Join(dir, "late")}
	for _, row := range []struct {
		why    string
		change func()
		want   bool
	}{
		{"nothing happened", func() {}, false},
		{"another size", func() { put(file, "longer") }, true},
		{"same size, written again", func() { os.Chtimes(file, time.Time{}, time.Now().Add(time.Minute)) }, true},
		{"another file of the same name", func() { put(file+".new", "longer"); os.Rename(file+".new", file) }, true},
		{"a link that points elsewhere, as Kubernetes mounts secrets", func() { os.Remove(link); os.Symlink(other, link) }, true},
		{"a file that appears", func() { put(filepath.Join(dir, "late"), "late") }, true},
		{"a file that vanishes", func() { os.Remove(file) }, true},
	} {
		before := stat(files)
		row.change()
		if got := differ(before, stat(files)); got != row.want {
			t.Errorf("%s: differ is %v", row.why, got)
		}
	}
	if differ(stat([]string{file}), stat([]string{other})) {
		t.Error("a file that is only watched from now on counts as changed")
	}
}

// TestChangesWhileItIsRead: what is written to a file after it was read, and before
// the relay runs or a reload ends, is seen at the next look.
func TestChangesWhileItIsRead(t *testing.T) {
	dir := t.TempDir()
	file, password := filepath.Join(dir, "postrider.yaml"), filepath.Join(dir, "password")
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const base = "hostname: relay.test\nstate_dir: %s/state\nlisteners: [{address: %q, auth: none, tls: none}]\nsubmission: {max_recipients: %d}\n"
	address := "127.0.0.1:0"
	after := func() {} // what happens when it has been read
	load := func() (*config.Config, error) {
		c, err := config.Load(file, nil)
		after()
		return c, err
	}

	put(file, fmt.Sprintf(base, dir, address, 1))
	c, err := load()
	if err != nil {
		t.Fatal(err)
	}
	after = func() { put(file, fmt.Sprintf(base, dir, address, 20)) }
	r, err := Open(Options{Config: c, Load: load, Log: eventlog.Open(io.Discard, config.Log{})})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop(t.Context())
	after = func() {}
	r.look()
	if n := r.rules.Load().config.Submission.MaxRecipients; n != 20 {
		t.Errorf("max_recipients is %d: what was written while it started was not seen", n)
	}

	put(password, "first")
	put(file, fmt.Sprintf(base, dir, address, 20)+"routes: [{smarthosts: [\"submission://me@mail.example\"], password_file: "+password+"}]\n")
	loads := 0
	after = func() {
		if loads++; loads <= 2 {
			put(password, fmt.Sprintf("secret number %*d", loads, loads)) // of another size each time
		}
	}
	for range 3 {
		r.look()
	}
	if got := r.rules.Load().config.Routes[0].Password; got != "secret number  2" {
		t.Errorf("the password is %q: what was written while it was reloaded was not seen", got)
	}
}
