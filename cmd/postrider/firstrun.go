package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/policy"
)

// firstUser is the user that the embedded default makes at its first run; a file
// of the other name in the state directory holds its password.
const (
	firstUser     = "demo"
	firstUserFile = "first-user"
)

// firstRun makes the embedded default's user if it has none yet. The password
// file comes first: a password nobody can read again would be of no use.
func firstRun(c *config.Config) error {
	if c.Source != "" || c.Auth.UsersFile != filepath.Join(c.StateDir, "users") {
		return nil
	}
	if _, err := os.Stat(c.Auth.UsersFile); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return fmt.Errorf("making the state directory: %w", err)
	}
	password := rand.Text()
	file := filepath.Join(c.StateDir, firstUserFile)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("making the first user: %w", err)
	}
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		return fmt.Errorf("making the first user: %w", err)
	}
	if err := policy.AddUser(c.Auth.UsersFile, firstUser, password, false); err != nil {
		return fmt.Errorf("making the first user: %w", err)
	}
	return nil
}

// greet tells who runs the embedded default how to send a first message. It goes
// to stdout: stderr is the log's, and may have to be JSON.
func greet(w io.Writer, c *config.Config, submission net.Addr) {
	file := filepath.Join(c.StateDir, firstUserFile)
	if _, err := os.Stat(file); c.Source != "" || err != nil || submission == nil {
		return
	}
	fmt.Fprintf(w, `Postrider runs with its embedded default: state in %s, submission on %s.
To send a test message, put your address in the place of you@example.com and paste:

  printf 'From: you@example.com\nTo: you@example.com\nSubject: hello\n\nIt works.\n' | curl -sS smtp://%s --ssl-reqd --insecure --user "%s:$(cat %s)" --mail-from you@example.com --mail-rcpt you@example.com --crlf --upload-file -

Then `+"`postrider queue list`"+` shows what waits. A configuration of your own begins with `+"`postrider config init`"+`.
`, c.StateDir, submission, submission, firstUser, file)
}
