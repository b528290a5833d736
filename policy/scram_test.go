package policy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/xdg-go/scram"
)

// scramLogin runs a client's conversation against a mechanism.
func scramLogin(t *testing.T, a Authenticator, c *Client, mechanism string, conversation *scram.ClientConversation) (login *Login, err error) {
	t.Helper()
	s, err := a.Start(context.Background(), c, mechanism, func(l Login) { login = &l })
	if err != nil {
		return nil, err
	}
	message := ""
	for range 3 {
		if message, err = conversation.Step(message); err != nil {
			t.Fatalf("client: %v", err)
		}
		challenge, done, err := s.Next([]byte(message))
		if err != nil {
			if login != nil {
				t.Errorf("an identity and an error %v", err)
			}
			return nil, err
		}
		if done {
			if !conversation.Valid() {
				t.Error("the client let in a server that did not prove itself")
			}
			return login, nil
		}
		if login != nil {
			t.Fatal("an identity before the end")
		}
		message = string(challenge)
	}
	t.Fatal("the exchange does not end")
	return nil, nil
}

func TestScram(t *testing.T) {
	a := newAuthenticator(t, AuthOptions{Directory: newUsers(t,
		"billing:"+cheapBcrypt(t, "bcrypt's")+" "+scramLine(t, "secret"),
		"a,b=c:"+scramLine(t, "p\u00e4ss\u00adwort"),
	)})
	client, server, der := handshake(t, newAuthority(t), tls.NoClientCert)
	otherClient, _, _ := handshake(t, newAuthority(t), tls.NoClientCert)
	cert, _ := x509.ParseCertificate(der)
	endPointState := tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}

	exporter, err1 := scram.NewTLSExporterBinding(&client)
	elsewhere, err2 := scram.NewTLSExporterBinding(&otherClient)
	endPoint, err3 := scram.NewTLSServerEndpointBinding(&endPointState)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	older, olderServer, olderDER := handshakeOf(t, tls.VersionTLS12, newAuthority(t), tls.NoClientCert)
	unique := scram.NewTLSUniqueBinding(older.TLSUnique)
	type channel struct {
		*tls.ConnectionState
		certificate []byte
	}
	clear, tls12, tls13 := channel{}, channel{&olderServer, olderDER}, channel{&server, der}
	none := scram.ChannelBinding{}
	for _, row := range []struct {
		reason, mechanism, name, password, authzid string
		binding                                    scram.ChannelBinding
		advertised                                 bool // the client saw -PLUS
		over                                       channel
		want                                       string
	}{
		{"in clear", MechanismScram, "billing", "secret", "", none, false, clear, ""},
		{"under TLS by a client that can't bind", MechanismScram, "billing", "secret", "", none, false, tls13, ""},
		{"a name with , and =, a password SASLprep changes", MechanismScram, "a,b=c", "pa\u0308sswort", "", none, false, clear, ""},
		{"acting as oneself", MechanismScram, "billing", "secret", "billing", none, false, clear, ""},
		{"acting as another", MechanismScram, "billing", "secret", "root", none, false, clear, "535 5.7.8"},
		{"wrong password", MechanismScram, "billing", "Secret", "", none, false, clear, "535 5.7.8"},
		{"the password of the other hash", MechanismScram, "billing", "bcrypt's", "", none, false, clear, "535 5.7.8"},
		{"unknown user", MechanismScram, "nobody", "secret", "", none, false, clear, "535 5.7.8"},
		{"bound by tls-exporter", MechanismScramPlus, "billing", "secret", "", exporter, true, tls13, ""},
		{"bound by tls-server-end-point", MechanismScramPlus, "billing", "secret", "", endPoint, true, tls13, ""},
		{"bound to another connection: a man in the middle", MechanismScramPlus, "billing", "secret", "", elsewhere, true, tls13, "535 5.7.8"},
		{"-PLUS in clear", MechanismScramPlus, "billing", "secret", "", exporter, true, clear, "535 5.7.8"},
		{"-PLUS, unbound", MechanismScramPlus, "billing", "secret", "", none, false, tls13, "501 5.5.2"},
		{"bound, without -PLUS", MechanismScram, "billing", "secret", "", exporter, true, tls13, "501 5.5.2"},
		{"bound by tls-unique, under TLS 1.2", MechanismScramPlus, "billing", "secret", "", unique, true, tls12, ""},
		{"tls-unique of another connection", MechanismScramPlus, "billing", "secret", "", scram.NewTLSUniqueBinding([]byte("another one")), true, tls12, "535 5.7.8"},
		{"tls-unique, which TLS 1.3 has not", MechanismScramPlus, "billing", "secret", "", scram.NewTLSUniqueBinding([]byte("x")), true, tls13, "535 5.7.8"},
	} {
		x, err := scram.SHA256.NewClient(row.name, row.password, row.authzid)
		if err != nil {
			t.Fatal(err)
		}
		conversation := x.NewConversation()
		if row.advertised {
			conversation = x.NewConversationWithChannelBinding(row.binding)
		}
		c := tcpClient()
		c.TLS, c.Certificate = row.over.ConnectionState, row.over.certificate
		login, err := scramLogin(t, a, c, row.mechanism, conversation)
		if got := replyCode(err); got != row.want {
			t.Errorf("%s: got %q (%v), want %q", row.reason, got, err, row.want)
		}
		if row.want == "" && (login == nil || login.Identity.Name != row.name || login.Identity.Mechanism != row.mechanism) {
			t.Errorf("%s: login %+v", row.reason, login)
		}
	}
}

// TestScramDowngrade: a client that could bind the channel and was shown no
// -PLUS says so; over TLS that means that the offer was taken out.
func TestScramDowngrade(t *testing.T) {
	a := newAuthenticator(t, AuthOptions{Directory: newUsers(t, "billing:"+scramLine(t, "secret"))})
	c := tcpClient()
	c.TLS = serverState(t)
	if _, _, err := feed(t, a, c, MechanismScram, []byte("y,,n=billing,r=abc")); replyCode(err) != "535 5.7.8" {
		t.Errorf("under TLS: %v", err)
	}
	if _, _, err := feed(t, a, tcpClient(), MechanismScram, []byte("y,,n=billing,r=abc")); err != nil {
		t.Errorf("in clear, where -PLUS is not offered: %v", err)
	}
}

func TestScramMalformed(t *testing.T) {
	a := newAuthenticator(t, AuthOptions{Directory: newUsers(t, "billing:"+scramLine(t, "secret"))})
	for _, row := range []struct {
		reason, first string
		final         func(challenge string) string
	}{
		{"empty", "", nil},
		{"not SCRAM", "hello", nil},
		{"no nonce", "n,,n=billing", nil},
		{"no name", "n,,r=abc,n=billing", nil},
		{"a name with a bare =", "n,,n=bill=ing,r=abc", nil},
		{"an unknown extension", "n,,m=1,n=billing,r=abc", nil},
		{"an unknown flag", "q,,n=billing,r=abc", nil},
		{"Latin-1", "n,,n=m\xfcller,r=abc", nil},
		{"final message without proof", "n,,n=billing,r=abc", func(string) string { return "c=biws,r=abc" }},
		{"final message with bad base64", "n,,n=billing,r=abc", func(c string) string {
			nonce, _, _ := strings.Cut(c, ",")
			return "c=biws," + nonce + ",p=***"
		}},
	} {
		s, _ := a.Start(context.Background(), tcpClient(), MechanismScram, func(Login) { t.Errorf("%s: let in", row.reason) })
		challenge, _, err := s.Next([]byte(row.first))
		if row.final != nil && err == nil {
			_, _, err = s.Next([]byte(row.final(string(challenge))))
		}
		if replyCode(err) != "501 5.5.2" {
			t.Errorf("%s: got %v", row.reason, err)
		}
		if _, done, err := s.Next([]byte("n,,n=billing,r=abc")); err == nil || done {
			t.Errorf("%s: starts again after a failure", row.reason)
		}
	}
}

// TestScramUnknownUser: the salt of a user who does not exist looks like one and
// stays the same.
func TestScramUnknownUser(t *testing.T) {
	a := newAuthenticator(t, AuthOptions{Directory: newUsers(t, "billing:"+scramLine(t, "secret"))})
	parameters := func(name string) string {
		challenges, _, err := feed(t, a, tcpClient(), MechanismScram, []byte("n,,n="+name+",r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		_, p, _ := strings.Cut(challenges[0], ",")
		return p
	}
	known, unknown, again := parameters("billing"), parameters("nobody"), parameters("nobody")
	if again != unknown || parameters("noone") == unknown {
		t.Error("the salt gives it away")
	}
	if len(known) != len(unknown) || !strings.HasSuffix(unknown, ",i=10000") {
		t.Errorf("a user has %q, nobody %q", known, unknown)
	}
}
