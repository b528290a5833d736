package e2e

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/smtptest"
)

// TestMountsAreExchanged swaps configuration, users and certificate as Kubernetes
// does: names in a mount lead through ..data to a directory that is replaced.
func TestMountsAreExchanged(t *testing.T) {
	ca := smtptest.NewAuthority(t)
	d := newDaemon(t, "")
	text, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	mount := filepath.Join(d.dir, "mount")
	files := []string{"postrider.yaml", "users", "tls.crt", "tls.key"}
	// exchange fills a directory and lets ..data lead there.
	exchange := func(version, name, password string) {
		t.Helper()
		dir := filepath.Join(mount, ".."+version)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "postrider.yaml"), strings.NewReplacer(
			"relay.test", name, d.dir+"/users", mount+"/users",
		).Replace(string(text))+fmt.Sprintf("tls: { certificate: %[1]s/tls.crt, key: %[1]s/tls.key }\n", mount))
		certFile, keyFile := writeCertificate(t, ca.Server(t, name).Certificates[0])
		for _, file := range []string{certFile, keyFile} {
			if err := os.Rename(file, filepath.Join(dir, filepath.Base(file))); err != nil {
				t.Fatal(err)
			}
		}
		users := filepath.Join(dir, "users")
		write(t, filepath.Join(d.dir, "add.yaml"), "state_dir: "+d.dir+"\nlisteners: [{address: \"127.0.0.1:1\"}]\nauth: {users_file: "+users+"}\n")
		add := exec.Command(binary, "user", "add", "-c", filepath.Join(d.dir, "add.yaml"), user)
		add.Stdin = strings.NewReader(password + "\n")
		if out, err := add.CombinedOutput(); err != nil {
			t.Fatalf("user add: %v\n%s", err, out)
		}
		next := filepath.Join(mount, "..next")
		if err := os.Symlink(".."+version, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(mount, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	exchange("1", "one.test", "first")
	for _, file := range files {
		if err := os.Symlink("..data/"+file, filepath.Join(mount, file)); err != nil {
			t.Fatal(err)
		}
	}
	d.config = filepath.Join(mount, "postrider.yaml")
	d.start()
	serves := func(name, password string) {
		t.Helper()
		eventually(t, name+" is in force", func() error {
			c := dial(t, d.Submission)
			defer c.Close()
			if line := c.expect("220"); !strings.Contains(line, name) {
				return fmt.Errorf("greeted with %q", line)
			}
			c.ask("EHLO client.test", "250")
			c.ask("STARTTLS", "220")
			if err := tls.Client(c, &tls.Config{RootCAs: ca.Pool(), ServerName: name}).Handshake(); err != nil {
				return err
			}
			return login(d.Submission, user, password)
		})
	}
	serves("one.test", "first")
	exchange("2", "two.test", "second")
	if err := os.RemoveAll(filepath.Join(mount, "..1")); err != nil {
		t.Fatal(err)
	}
	serves("two.test", "second")
	if err := login(d.Submission, user, "first"); err == nil {
		t.Error("the old password is still taken")
	}
}
