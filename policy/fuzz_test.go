package policy

import (
	"context"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/postrider/postrider/internal/mail"
)

// samples are lines as they are found in users files, "secret" being the
// password of those that have one.
var samples = []string{
	"# a comment",
	"",
	"bcrypt:$2a$04$uEiRYqfwiFN9Qy0EKz4E9eEOOL3GVQBzXqQ6C7pOKo6QVoJU2xk3m",
	"htpasswd:$2y$05$uEiRYqfwiFN9Qy0EKz4E9eEOOL3GVQBzXqQ6C7pOKo6QVoJU2xk3m",
	"argon:$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
	"scram:SCRAM-SHA-256$4096:c2FsdHNhbHQ=$" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + ":" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
	"$2b$:$2b$",
	"a:$argon2id$v=19$m=4294967295,t=4294967295,p=255$$",
}

func FuzzUserLine(f *testing.F) {
	for _, s := range samples {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		name, c, err := parseUserLine(line)
		if err != nil || c == nil {
			return
		}
		if a, ok := c.Password.(*argonVerifier); ok && (a.memory > maxArgonMemory || a.time > maxArgonTime || a.threads == 0) {
			t.Errorf("%q costs too much", line)
		}
		if b, ok := c.Password.(bcryptVerifier); ok {
			if cost, err := bcrypt.Cost([]byte(b)); err != nil || cost > maxBcryptCost {
				t.Errorf("%q: cost %d, %v", line, cost, err)
			}
			if cost, _ := bcrypt.Cost([]byte(b)); cost == bcrypt.MinCost && b.Verify("\x00 no password") {
				t.Errorf("%q lets anybody in", line)
			}
		}
		again, d, err := parseUserLine(name + ":" + c.Password.String())
		if err != nil || again != name || d.Password.String() != c.Password.String() {
			t.Errorf("%q: written again it is %q, %v", line, again, err)
		}
	})
}

// FuzzUserEdits: whatever the file and the name, an edit touches one line only.
func FuzzUserEdits(f *testing.F) {
	for i, s := range samples {
		f.Add(strings.Join(samples[:i], "\n"), s)
		f.Add(strings.Join(samples[:i], "\r\n")+"\n\n", "new user")
	}
	f.Fuzz(func(t *testing.T, content, name string) {
		path := filepath.Join(t.TempDir(), "users")
		before, err := readUsers(path, strings.NewReader(content))
		if err != nil {
			return
		}
		path = writeUsers(t, content)
		if err := addUser(path, name, "secret", bcrypt.MinCost, false); err != nil {
			return
		}
		after, err := LoadUsers(path)
		if err != nil {
			t.Fatalf("%q and %q make a file with errors: %v", content, name, err)
		}
		c, _ := after.Lookup(context.Background(), name)
		if c == nil || !c.Password.Verify("secret") {
			t.Errorf("%q was added to %q and can't log in", name, content)
		}
		for _, n := range before.Names() {
			old, _ := before.Lookup(context.Background(), n)
			if c, _ := after.Lookup(context.Background(), n); n != name && (c == nil || c.Password.String() != old.Password.String()) {
				t.Errorf("adding %q to %q changed %q", name, content, n)
			}
		}
		if err := RemoveUser(path, name); err != nil {
			t.Errorf("remove what was added: %v", err)
		}
	})
}

// FuzzExchange: no sequence of responses lets anybody in without the password,
// and every failure is a reply.
func FuzzExchange(f *testing.F) {
	a := newAuthenticator(f, AuthOptions{Directory: newUsers(f, "billing:"+cheapBcrypt(f, "right")+" "+scramLine(f, "right"))})
	for _, s := range [][3]string{
		{"PLAIN", "\x00billing\x00wrong", ""}, {"PLAIN", "billing\x00billing\x00", "x"}, {"LOGIN", "billing", "wrong"},
		{"SCRAM-SHA-256", "n,,n=billing,r=abc", "c=biws,r=abc,p=AAAA"}, {"SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=billing,r=abc", "c=biws"},
		{"EXTERNAL", "billing", ""}, {"SCRAM-SHA-256", "n,a=root,n=billing,r=abc", ""}, {"CRAM-MD5", "", ""},
	} {
		f.Add(s[0], []byte(s[1]), []byte(s[2]))
	}
	f.Fuzz(func(t *testing.T, mechanism string, first, second []byte) {
		if strings.Contains(string(first)+string(second), "right") {
			return
		}
		s, err := a.Start(context.Background(), tcpClient(), mechanism, func(l Login) { t.Errorf("let in %q", l.Identity.Name) })
		for _, response := range [][]byte{first, second, nil, nil} {
			if err != nil {
				break
			}
			_, _, err = s.Next(response)
		}
		e, ok := err.(*mail.Error)
		if !ok || e.Code != 535 && e.Code != 501 && e.Code != 504 {
			t.Errorf("%s %q %q ended with %v", mechanism, first, second, err)
		}
	})
}
