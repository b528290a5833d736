package policy

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/xdg-go/scram"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// users is a Directory of cleartext passwords for tests.
type users struct {
	*Users
	down error
}

func (u users) Lookup(ctx context.Context, name string) (*Credentials, error) {
	if u.down != nil {
		return nil, u.down
	}
	return u.Users.Lookup(ctx, name)
}

func newUsers(t testing.TB, lines ...string) users {
	t.Helper()
	u, err := readUsers("users", strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return users{Users: u}
}

func newAuthenticator(t testing.TB, o AuthOptions) Authenticator {
	t.Helper()
	a, err := NewAuthenticator(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func scramLine(t testing.TB, password string) string {
	t.Helper()
	v, err := newScramVerifier(password)
	if err != nil {
		t.Fatal(err)
	}
	return v.String()
}

func tcpClient() *Client {
	return &Client{Remote: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711}}
}

// feed gives a mechanism the responses in turn and returns the challenges, the
// identity if it succeeded, and the error.
func feed(t *testing.T, a Authenticator, c *Client, mechanism string, responses ...[]byte) (challenges []string, id *mail.Identity, err error) {
	t.Helper()
	s, err := a.Start(context.Background(), c, mechanism, func(l Login) { id = &l.Identity })
	if err != nil {
		return nil, nil, err
	}
	for i, r := range responses {
		challenge, done, err := s.Next(r)
		if err != nil {
			if id != nil {
				t.Errorf("%s: an identity and an error: %v", mechanism, err)
			}
			return challenges, nil, err
		}
		if done != (id != nil) {
			t.Fatalf("%s: done %v, identity %v", mechanism, done, id)
		}
		if done {
			if i != len(responses)-1 {
				t.Fatalf("%s: done after %d of %d responses", mechanism, i+1, len(responses))
			}
			return challenges, id, nil
		}
		challenges = append(challenges, string(challenge))
	}
	return challenges, nil, nil
}

func replyCode(err error) string {
	if err == nil {
		return ""
	}
	e, ok := err.(*mail.Error)
	if !ok {
		return "not a *mail.Error: " + err.Error()
	}
	for _, private := range []string{"billing", "secret", "user", "back end"} {
		if strings.Contains(strings.ToLower(e.Text), private) {
			return "tells the client: " + e.Text
		}
	}
	if e.Cause == nil {
		return "no cause for the log"
	}
	return e.Reply.String()[:9]
}

func TestPasswordMechanisms(t *testing.T) {
	directory := newUsers(t, "billing:"+cheapBcrypt(t, "secret"), "scram:"+scramLine(t, "secret"))
	a := newAuthenticator(t, AuthOptions{Directory: directory, Auth: config.Auth{Groups: map[string][]string{
		"ops": {"billing", "x"}, "all": {"billing"},
	}}})
	var nothing []byte
	b := func(s string) []byte { return []byte(s) }
	for _, row := range []struct {
		reason, mechanism string
		responses         [][]byte
		want              string // the reply's beginning, or empty for success
	}{
		{"initial response", "PLAIN", [][]byte{b("\x00billing\x00secret")}, ""},
		{"asked for", "PLAIN", [][]byte{nothing, b("\x00billing\x00secret")}, ""},
		{"acting as oneself", "PLAIN", [][]byte{b("billing\x00billing\x00secret")}, ""},
		{"acting as another", "PLAIN", [][]byte{b("root\x00billing\x00secret")}, "535 5.7.8"},
		{"wrong password", "PLAIN", [][]byte{b("\x00billing\x00Secret")}, "535 5.7.8"},
		{"unknown user", "PLAIN", [][]byte{b("\x00nobody\x00secret")}, "535 5.7.8"},
		{"the name in another case is another name", "PLAIN", [][]byte{b("\x00Billing\x00secret")}, "535 5.7.8"},
		{"an unset environment variable", "PLAIN", [][]byte{b("\x00billing\x00")}, "535 5.7.8"},
		{"empty", "PLAIN", [][]byte{b("")}, "501 5.5.2"},
		{"empty, twice", "PLAIN", [][]byte{nothing, nothing}, "501 5.5.2"},
		{"no name", "PLAIN", [][]byte{b("\x00\x00secret")}, "501 5.5.2"},
		{"one NUL", "PLAIN", [][]byte{b("billing\x00secret")}, "501 5.5.2"},
		{"three NULs", "PLAIN", [][]byte{b("\x00billing\x00secret\x00")}, "501 5.5.2"},
		{"Latin-1", "PLAIN", [][]byte{b("\x00m\xfcller\x00secret")}, "501 5.5.2"},
		{"a password of a megabyte", "PLAIN", [][]byte{b("\x00billing\x00" + strings.Repeat("x", 1<<20))}, "501 5.5.2"},
		{"a user with nothing but SCRAM", "PLAIN", [][]byte{b("\x00scram\x00secret")}, ""},
		{"wrong password, SCRAM verifier", "PLAIN", [][]byte{b("\x00scram\x00Secret")}, "535 5.7.8"},

		{"two questions", "LOGIN", [][]byte{nothing, b("billing"), b("secret")}, ""},
		{"name as initial response", "LOGIN", [][]byte{b("billing"), b("secret")}, ""},
		{"wrong password", "LOGIN", [][]byte{nothing, b("billing"), b("no")}, "535 5.7.8"},
		{"unknown user", "LOGIN", [][]byte{nothing, b("nobody"), b("secret")}, "535 5.7.8"},
		{"empty answers", "LOGIN", [][]byte{nothing, nothing, nothing}, "501 5.5.2"},

		{"no such mechanism", "CRAM-MD5", nil, "504 5.5.4"},
		{"names are upper case by then", "plain", nil, "504 5.5.4"},
		{"no certificate", "EXTERNAL", [][]byte{b("")}, "535 5.7.8"},
	} {
		_, id, err := feed(t, a, tcpClient(), row.mechanism, row.responses...)
		got := replyCode(err)
		if strings.HasPrefix(row.want, "504") && err != nil {
			got = err.Error()[:9]
		}
		if got != row.want || (err == nil) != (id != nil) {
			t.Errorf("%s %s: got %q (%v), want %q", row.mechanism, row.reason, got, err, row.want)
		}
	}

	_, id, _ := feed(t, a, tcpClient(), "LOGIN", b("billing"), b("secret"))
	if id == nil || id.Name != "billing" || id.Mechanism != "LOGIN" || !slices.Equal(id.Groups, []string{"all", "ops"}) {
		t.Errorf("identity %+v", id)
	}
	challenges, _, _ := feed(t, a, tcpClient(), "LOGIN", nothing, b("x"), b(""))
	if !slices.Equal(challenges, []string{"Username:", "Password:"}) {
		t.Errorf("LOGIN asked %q", challenges)
	}
}

func TestClientsOfGoSASL(t *testing.T) {
	a := newAuthenticator(t, AuthOptions{Directory: newUsers(t, "billing:"+cheapBcrypt(t, "secret"))})
	for _, client := range []sasl.Client{
		sasl.NewPlainClient("", "billing", "secret"),
		sasl.NewLoginClient("billing", "secret"),
	} {
		mechanism, response, err := client.Start()
		if err != nil {
			t.Fatal(err)
		}
		var id mail.Identity
		s, err := a.Start(context.Background(), tcpClient(), mechanism, func(l Login) { id = l.Identity })
		if err != nil {
			t.Fatal(err)
		}
		for {
			challenge, done, err := s.Next(response)
			if err != nil {
				t.Fatalf("%s: %v", mechanism, err)
			}
			if done {
				break
			}
			if response, err = client.Next(challenge); err != nil {
				t.Fatalf("%s: %v", mechanism, err)
			}
		}
		if id.Name != "billing" {
			t.Errorf("%s: identity %+v", mechanism, id)
		}
		if _, _, err := s.Next([]byte("more")); replyCode(err) != "501 5.5.2" {
			t.Errorf("%s goes on after its end: %v", mechanism, err)
		}
	}
}

func TestDirectoryDown(t *testing.T) {
	directory := newUsers(t, "billing:"+scramLine(t, "secret"))
	directory.down = errors.New("back end: connection refused by 10.0.0.7")
	a := newAuthenticator(t, AuthOptions{Directory: directory})
	client, _ := scram.SHA256.NewClient("billing", "secret", "")
	first, _ := client.NewConversation().Step("")
	for mechanism, responses := range map[string][][]byte{
		"PLAIN":         {[]byte("\x00billing\x00secret")},
		"LOGIN":         {[]byte("billing"), []byte("secret")},
		"SCRAM-SHA-256": {[]byte(first)},
	} {
		_, id, err := feed(t, a, tcpClient(), mechanism, responses...)
		if id != nil || replyCode(err) != "454 4.7.0" || !errors.Is(err, directory.down) {
			t.Errorf("%s: identity %v, error %v", mechanism, id, err)
		}
	}
}

func TestMechanismsOffered(t *testing.T) {
	bcrypt, both := "a:"+cheapBcrypt(t, "x"), "b:"+cheapBcrypt(t, "x")+" "+scramLine(t, "x")
	for _, row := range []struct {
		reason    string
		lines     []string
		tls       bool
		peer      bool
		plaintext bool
		want      string
	}{
		{"in clear over a network", []string{bcrypt}, false, false, false, ""},
		{"under TLS", []string{bcrypt}, true, false, true, "PLAIN LOGIN"},
		{"every user has SCRAM", []string{both}, true, false, true, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"},
		{"SCRAM in clear, where it is allowed", []string{both}, false, false, true, "SCRAM-SHA-256 PLAIN LOGIN"},
		{"SCRAM in clear, where it is not", []string{both}, false, false, false, ""},
		{"a unix socket that allows nothing in clear", []string{both}, false, true, false, "EXTERNAL"},
		{"a client would pick SCRAM and fail for the other user", []string{bcrypt, both}, true, false, true, "PLAIN LOGIN"},
		{"no users", nil, true, false, true, "PLAIN LOGIN"},
		{"a unix socket", []string{bcrypt}, false, true, true, "EXTERNAL PLAIN LOGIN"},
	} {
		a := newAuthenticator(t, AuthOptions{Directory: newUsers(t, row.lines...)})
		c := tcpClient()
		if row.tls {
			c.TLS = serverState(t)
		}
		if row.peer {
			c.Peer = &Peer{UID: 1}
		}
		if got := strings.Join(a.Mechanisms(c, row.plaintext), " "); got != row.want {
			t.Errorf("%s: got %q, want %q", row.reason, got, row.want)
		}
	}
}
