package policy

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/postrider/postrider/internal/config"
)

func cheapBcrypt(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func writeUsers(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUsersFileErrors(t *testing.T) {
	hash := cheapBcrypt(t, "secret")
	for _, row := range []struct{ reason, content, want string }{
		{"a name alone", "# ok\nbilling\n", `:2: no colon; expected name:hash`},
		{"a name without hash", "billing:\n", `:1: user "billing" has no hash; expected name:hash`},
		{"a hash without name", ":" + hash, `:1: empty user name; expected name:hash`},
		{"the password itself", "billing:hunter2\n", `:1: user "billing": no hash of a known kind; expected one that begins with $2b$ (bcrypt), $argon2id$ or SCRAM-SHA-256$`},
		{"md5-crypt of an old htpasswd", "billing:$apr1$x$y\n", `:1: user "billing": no hash of a known kind; expected one that begins with $2b$ (bcrypt), $argon2id$ or SCRAM-SHA-256$`},
		{"the same user twice", "a:" + hash + "\n\na:" + hash, `:3: user "a" is already on line 1`},
		{"a bcrypt hash cut short", "a:" + hash[:50], `:1: user "a": malformed bcrypt hash; expected 60 characters that begin with $2a$, $2b$ or $2y$ and a cost`},
		{"a bcrypt cost that takes a day", "a:$2b$31$" + hash[7:], `:1: user "a": bcrypt cost 31; expected at most 16`},
		{"an argon2id hash that eats 4 GiB", "a:$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", `:1: user "a": argon2id m=4194304; expected at most 131072 KiB`},
		{"an argon2id hash that takes for ever", "a:$argon2id$v=19$m=64,t=4000000000,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", `:1: user "a": argon2id t=4000000000; expected at most 10`},
		{"argon2id without parameters", "a:$argon2id$v=19$$c2FsdHNhbHQ$aGFzaA", `:1: user "a": malformed argon2id hash; expected $argon2id$v=19$m=KIB,t=N,p=N$salt$hash`},
		{"argon2id with a zero", "a:$argon2id$v=19$m=0,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA", `:1: user "a": malformed argon2id hash; expected $argon2id$v=19$m=KIB,t=N,p=N$salt$hash`},
		{"SCRAM that takes for ever", "a:SCRAM-SHA-256$2000000000:c2FsdHNhbHQ=$AA==:AA==", `:1: user "a": SCRAM with 2000000000 iterations; expected 4096 to 1000000`},
		{"SCRAM with a short key", "a:SCRAM-SHA-256$4096:c2FsdHNhbHQ=$AA==:AA==", `:1: user "a": malformed SCRAM verifier; expected SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`},
		{"two bcrypt hashes", "a:" + hash + " " + hash, `:1: user "a" has two hashes of one kind; expected one, and one for SCRAM if need be`},
		{"a name with a control character", "a\x01:" + hash, `:1: user name "a\x01"; expected UTF-8 without control characters and colons`},
		{"a name in Latin-1", "m\xfcller:" + hash, `:1: user name "m\xfcller"; expected UTF-8 without control characters and colons`},
		{"a line without end", "a:" + hash + "\n" + strings.Repeat("x", 5000), `:2: line longer than 4096 octets`},
	} {
		path := writeUsers(t, row.content)
		_, err := LoadUsers(path)
		if err == nil || err.Error() != path+row.want {
			t.Errorf("%s:\n got %v\nwant %s", row.reason, err, path+row.want)
		}
		if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), hash[10:])) {
			t.Errorf("%s: the error tells what stands behind the name: %v", row.reason, err)
		}
	}
	if _, err := LoadUsers(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: got %v", err)
	}
}

func TestUsersFileIsRead(t *testing.T) {
	path := writeUsers(t, "\ufeff# made by hand\r\n\r\n  billing:"+cheapBcrypt(t, "one")+"  \r\n#old:x\nM\u00fcller@example.com:"+cheapBcrypt(t, "two"))
	u, err := LoadUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := u.Names(), []string{"billing", "M\u00fcller@example.com"}; !slices.Equal(got, want) {
		t.Errorf("names: got %q, want %q", got, want)
	}
	for name, password := range map[string]string{"billing": "one", "M\u00fcller@example.com": "two"} {
		c, _ := u.Lookup(context.Background(), name)
		if c == nil || !c.Password.Verify(password) || c.Password.Verify(password+"x") {
			t.Errorf("%s can't log in, or with anything", name)
		}
	}
	if c, _ := u.Lookup(context.Background(), "Billing"); c != nil {
		t.Error("names ignore case")
	}
	if w := u.Warnings(); len(w) != 0 {
		t.Errorf("warnings %q about a file of mode 0600", w)
	}
}

func TestUsersFileModes(t *testing.T) {
	for mode, warns := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: false, 0o644: true, 0o660: true, 0o602: true} {
		path := writeUsers(t, "")
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		u, err := LoadUsers(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(u.Warnings()) > 0; got != warns {
			t.Errorf("mode %04o: warned %v, want %v", mode, got, warns)
		}
	}
}

func TestUsersFileWarnings(t *testing.T) {
	path := writeUsers(t, "a:"+cheapBcrypt(t, "x")+"\nb:"+scramLine(t, "x"))
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	var got []string
	if _, err := NewAuthenticator(AuthOptions{Auth: config.Auth{UsersFile: path}, Warn: func(s string) { got = append(got, s) }}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"users file " + path + " has mode 0644; expected 0600 or 0640",
		"users file " + path + " has SCRAM verifiers for 1 of 2 users; SCRAM is offered once all have one",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, err := NewAuthenticator(AuthOptions{Auth: config.Auth{UsersFile: path + "x"}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
}

func TestUserAddAndRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := AddUser(path, "first", "one", false); err != nil {
		t.Fatal(err)
	}
	if line, _ := os.ReadFile(path); !strings.HasPrefix(string(line), "first:$2a$10$") {
		t.Errorf("wrote %.15q; expected bcrypt of cost 10", line)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v of a new file", info.Mode())
	}
	if err := os.WriteFile(path, []byte("# head\n"+"a:"+cheapBcrypt(t, "x")+"\n\n# about b\nb:"+cheapBcrypt(t, "y")+"\nc:"+cheapBcrypt(t, "z")), 0o600); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	if err := addUser(path, "b", "changed", bcrypt.MinCost, true); err != nil {
		t.Fatal(err)
	}
	if err := RemoveUser(path, "a"); err != nil {
		t.Fatal(err)
	}
	if err := addUser(path, "d", "new", bcrypt.MinCost, false); err != nil {
		t.Fatal(err)
	}
	after, _ := os.ReadFile(path)
	lines, old := strings.Split(string(after), "\n"), strings.Split(string(before), "\n")
	if len(lines) != 7 || lines[0] != "# head" || lines[1] != "" || lines[2] != "# about b" ||
		!strings.HasPrefix(lines[3], "b:$2a$04$") || lines[4] != old[5] || !strings.HasPrefix(lines[5], "d:$2a$04$") || lines[6] != "" {
		t.Errorf("the file is now:\n%s", after)
	}
	u, err := LoadUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := u.Lookup(context.Background(), "b")
	if !b.Password.Verify("changed") || b.Scram == nil || !b.Scram.Verify("changed") || b.Password.Verify("y") {
		t.Error("b's password is not what it was changed to")
	}
	if names, _ := ListUsers(path); !slices.Equal(names, []string{"b", "c", "d"}) {
		t.Errorf("listed %q", names)
	}
	if err := RemoveUser(path, "a"); !errors.Is(err, ErrNoUser) {
		t.Errorf("removing nobody: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".users-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestUserAddRefuses(t *testing.T) {
	for _, row := range []struct{ reason, name, password, want string }{
		{"no name", "", "x", "empty user name"},
		{"a colon ends the name", "a:b", "x", "without control characters and colons"},
		{"would become a comment", "#a", "x", "no # in front"},
		{"would be trimmed", "a ", "x", "no space at its ends"},
		{"no password", "a", "", "empty password"},
		{"a password of two lines", "a", "x\ny", "line break"},
		{"bcrypt would cut it", "a", strings.Repeat("x", 73), "73 octets; expected at most 72"},
	} {
		path := filepath.Join(t.TempDir(), "users")
		if err := AddUser(path, row.name, row.password, false); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.reason, err, row.want)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: made a file", row.reason)
		}
	}
	path := writeUsers(t, "a:plain\n")
	if err := addUser(path, "b", "x", bcrypt.MinCost, false); err == nil {
		t.Error("wrote to a file with errors")
	}
}

func TestUserEditsKeepLinksAndModes(t *testing.T) {
	target := writeUsers(t, "")
	if err := os.Chmod(target, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := addUser(link, "a", "x", bcrypt.MinCost, false); err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Lstat(link); info.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link was replaced by a file")
	}
	if info, _ := os.Stat(target); info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v; the group could read it and still should, others not", info.Mode())
	}
}

func TestUserAddsAtOnce(t *testing.T) {
	path := writeUsers(t, "")
	names := []string{"a", "b", "c", "d", "e", "f"}
	var wg sync.WaitGroup
	for _, n := range names {
		wg.Go(func() {
			if err := addUser(path, n, "x", bcrypt.MinCost, false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := ListUsers(path)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, names) {
		t.Errorf("got %q, %v", got, err)
	}
}
