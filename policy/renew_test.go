package policy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/xdg-go/scram"

	"github.com/postrider/postrider/internal/config"
)

// TestRenew: what a login was good for is what it is good for under the users and
// groups of now, and no more.
func TestRenew(t *testing.T) {
	hash, other, verifier := cheapBcrypt(t, "secret"), cheapBcrypt(t, "secret"), scramLine(t, "secret")
	line := "billing:" + hash + " " + verifier
	groups := func(members map[string][]string) config.Auth { return config.Auth{Groups: members} }
	before := newAuthenticator(t, AuthOptions{Directory: newUsers(t, line), Auth: groups(map[string][]string{"ops": {"billing"}})})
	for _, row := range []struct {
		reason string
		now    AuthOptions
		want   string // groups, or a reply
	}{
		{"nothing has changed", AuthOptions{Directory: newUsers(t, line), Auth: groups(map[string][]string{"ops": {"billing"}})}, "ops"},
		{"another group", AuthOptions{Directory: newUsers(t, line), Auth: groups(map[string][]string{"staging": {"billing"}})}, "staging"},
		{"no group", AuthOptions{Directory: newUsers(t, "x:"+hash, line)}, ""},
		{"the user is gone", AuthOptions{Directory: newUsers(t, "x:"+hash)}, "421 4.3.2"},
		{"there is no users file any more", AuthOptions{}, "421 4.3.2"},
		{"another bcrypt hash", AuthOptions{Directory: newUsers(t, "billing:"+other+" "+verifier)}, "421 4.3.2"},
		{"another SCRAM verifier", AuthOptions{Directory: newUsers(t, "billing:"+hash+" "+scramLine(t, "secret"))}, "421 4.3.2"},
		{"SCRAM no more", AuthOptions{Directory: newUsers(t, "billing:"+hash)}, "421 4.3.2"},
		{"the back end can't say", AuthOptions{Directory: users{newUsers(t, line).Users, errors.New("no route")}}, "454 4.7.0"},
	} {
		for mechanism, l := range map[string]Login{
			MechanismPlain: loginByPlain(t, before),
			MechanismScram: loginByScram(t, before),
		} {
			id, err := newAuthenticator(t, row.now).Renew(t.Context(), tcpClient(), l)
			got := strings.Join(id.Groups, " ")
			if err != nil {
				got = replyCode(err)
			} else if id.Name != "billing" || id.Mechanism != mechanism {
				t.Errorf("%s, %s: %+v", row.reason, mechanism, id)
			}
			if got != row.want {
				t.Errorf("%s, %s: got %q, want %q (%v)", row.reason, mechanism, got, row.want, err)
			}
		}
	}
}

func loginByPlain(t *testing.T, a Authenticator) (l Login) {
	t.Helper()
	s, err := a.Start(t.Context(), tcpClient(), MechanismPlain, func(got Login) { l = got })
	if err != nil {
		t.Fatal(err)
	}
	if _, done, err := s.Next([]byte("\x00billing\x00secret")); !done {
		t.Fatal(err)
	}
	return l
}

func loginByScram(t *testing.T, a Authenticator) Login {
	t.Helper()
	client, err := scram.SHA256.NewClient("billing", "secret", "")
	if err != nil {
		t.Fatal(err)
	}
	l, err := scramLogin(t, a, tcpClient(), MechanismScram, client.NewConversation())
	if err != nil {
		t.Fatal(err)
	}
	return *l
}

// TestRenewWithoutPassword: a certificate and a process are looked at again.
func TestRenewWithoutPassword(t *testing.T) {
	ca := newAuthority(t)
	certificate := ca.issue(t, &x509.Certificate{
		DNSNames: []string{"billing.example"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	_, state, _ := handshake(t, ca, tls.VerifyClientCertIfGiven, certificate)
	byCertificate := tcpClient()
	byCertificate.TLS = &state
	byProcess := &Client{Remote: &net.UnixAddr{}, Peer: &Peer{UID: 33, GID: 33}}
	named := func(identity string) config.Auth {
		return config.Auth{Certificates: []config.CertificateIdentity{{Subject: "billing.example", Identity: identity}}}
	}
	for _, row := range []struct {
		reason      string
		client      *Client
		before, now AuthOptions
		want        string
	}{
		{"a certificate that is still named", byCertificate, AuthOptions{Auth: named("billing")}, AuthOptions{Auth: named("billing")}, "billing"},
		{"a certificate that means another", byCertificate, AuthOptions{Auth: named("billing")}, AuthOptions{Auth: named("shop")}, "421 4.3.2"},
		{"a certificate nobody is named by now", byCertificate, AuthOptions{Auth: named("billing")}, AuthOptions{}, "421 4.3.2"},
		{"a process", byProcess, AuthOptions{System: numbers{}}, AuthOptions{System: numbers{}}, "www-data web"},
		{"a process in another group", byProcess, AuthOptions{System: numbers{}}, AuthOptions{
			System: numbers{}, Auth: config.Auth{Groups: map[string][]string{"staging": {"www-data"}}}}, "www-data staging web"},
		{"a process, while the database can't be read", byProcess, AuthOptions{System: numbers{}}, AuthOptions{System: numbers{errors.New("no file")}}, "454 4.7.0"},
	} {
		var l Login
		s, err := newAuthenticator(t, row.before).Start(t.Context(), row.client, MechanismExternal, func(got Login) { l = got })
		if err != nil {
			t.Fatal(err)
		}
		if _, done, err := s.Next([]byte{}); !done {
			t.Fatalf("%s: %v", row.reason, err)
		}
		id, err := newAuthenticator(t, row.now).Renew(t.Context(), row.client, l)
		got := strings.Join(append([]string{id.Name}, id.Groups...), " ")
		if err != nil {
			got = replyCode(err)
		}
		if got != row.want {
			t.Errorf("%s: got %q, want %q (%v)", row.reason, got, row.want, err)
		}
	}
}
