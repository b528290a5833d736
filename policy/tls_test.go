package policy

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// authority signs the certificates of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	c := a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	a.cert, a.key = c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// issue signs template, by itself if a has no key yet.
func (a *authority) issue(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// handshake connects a client to a server and returns both states and the
// server's certificate. The server asks for a client certificate as auth says.
func handshake(t *testing.T, ca *authority, auth tls.ClientAuthType, certificates ...tls.Certificate) (client, server tls.ConnectionState, der []byte) {
	t.Helper()
	return handshakeOf(t, tls.VersionTLS13, ca, auth, certificates...)
}

func handshakeOf(t *testing.T, version uint16, ca *authority, auth tls.ClientAuthType, certificates ...tls.Certificate) (client, server tls.ConnectionState, der []byte) {
	t.Helper()
	own := ca.issue(t, &x509.Certificate{DNSNames: []string{"relay.example.com"}})
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	a, b := net.Pipe()
	s := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: auth, ClientCAs: roots})
	c := tls.Client(a, &tls.Config{Certificates: certificates, RootCAs: roots, ServerName: "relay.example.com", MaxVersion: version})
	defer a.Close()
	defer b.Close()
	failed := make(chan error, 1)
	go func() {
		err := c.Handshake()
		if err == nil {
			go c.Read(make([]byte, 1)) // takes the session tickets
		}
		failed <- err
	}()
	if err := s.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return c.ConnectionState(), s.ConnectionState(), own.Certificate[0]
}

func serverState(t *testing.T) *tls.ConnectionState {
	t.Helper()
	_, server, _ := handshake(t, newAuthority(t), tls.NoClientCert)
	return &server
}

func TestExternalByCertificate(t *testing.T) {
	ca := newAuthority(t)
	uri, _ := url.Parse("spiffe://cluster.local/ns/shop/sa/billing")
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	billing := ca.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Billing App"}, ExtKeyUsage: usage,
		DNSNames: []string{"billing.shop.svc"}, EmailAddresses: []string{"billing@Example.com"}, URIs: []*url.URL{uri}})
	stranger := ca.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "stranger"}, ExtKeyUsage: usage})
	selfMade := (&authority{}).issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Billing App"}, ExtKeyUsage: usage})

	for _, row := range []struct {
		reason, subject, identity string
		auth                      tls.ClientAuthType
		certificate               *tls.Certificate
		authzid                   string
		want                      string // identity, empty if refused
	}{
		{"by DNS name, in any case", "Billing.Shop.svc", "billing", tls.VerifyClientCertIfGiven, &billing, "", "billing"},
		{"by e-mail address", "billing@example.com", "billing", tls.VerifyClientCertIfGiven, &billing, "", "billing"},
		{"by URI", "spiffe://cluster.local/ns/shop/sa/billing", "billing", tls.VerifyClientCertIfGiven, &billing, "", "billing"},
		{"by common name", "Billing App", "billing", tls.VerifyClientCertIfGiven, &billing, "", "billing"},
		{"no identity: the subject itself", "billing.shop.svc", "", tls.VerifyClientCertIfGiven, &billing, "", "billing.shop.svc"},
		{"acting as oneself", "Billing App", "billing", tls.VerifyClientCertIfGiven, &billing, "billing", "billing"},
		{"acting as another", "Billing App", "billing", tls.VerifyClientCertIfGiven, &billing, "root", ""},
		{"a common name in another case", "billing app", "billing", tls.VerifyClientCertIfGiven, &billing, "", ""},
		{"a certificate nobody is named by", "Billing App", "billing", tls.VerifyClientCertIfGiven, &stranger, "", ""},
		{"the right name signed by nobody, on a server that does not verify", "Billing App", "billing", tls.RequestClientCert, &selfMade, "", ""},
		{"the right certificate, on a server that does not verify", "Billing App", "billing", tls.RequestClientCert, &billing, "", ""},
		{"no certificate", "Billing App", "billing", tls.VerifyClientCertIfGiven, nil, "", ""},
	} {
		a := newAuthenticator(t, AuthOptions{Auth: config.Auth{Certificates: []config.CertificateIdentity{
			{Subject: "another", Identity: "another"}, {Subject: row.subject, Identity: row.identity},
		}}})
		var certificates []tls.Certificate
		if row.certificate != nil {
			certificates = append(certificates, *row.certificate)
		}
		_, state, _ := handshake(t, ca, row.auth, certificates...)
		c := tcpClient()
		c.TLS = &state
		_, id, err := feed(t, a, c, MechanismExternal, nil, []byte(row.authzid))
		if row.want == "" {
			if id != nil || replyCode(err) != "535 5.7.8" {
				t.Errorf("%s: identity %v, error %v", row.reason, id, err)
			}
		} else if err != nil || id.Name != row.want || id.Mechanism != "EXTERNAL" {
			t.Errorf("%s: identity %+v, error %v", row.reason, id, err)
		}
		offered := len(a.Mechanisms(c, false)) > 0
		if want := row.want != "" || row.authzid != ""; offered != want {
			t.Errorf("%s: EXTERNAL offered %v, want %v", row.reason, offered, want)
		}
	}
}

// numbers is a System of one user.
type numbers struct{ err error }

func (n numbers) User(_ context.Context, uid, gid int) (string, []string, error) {
	if n.err != nil || uid != 33 {
		return "", nil, n.err
	}
	return "www-data", []string{"web"}, nil
}

func TestPeerCredentials(t *testing.T) {
	groups := config.Auth{Groups: map[string][]string{"php": {"www-data"}}}
	for _, row := range []struct {
		reason string
		peer   *Peer
		system System
		want   string // name and groups, or a reply
	}{
		{"a process of a user", &Peer{UID: 33, GID: 33}, numbers{}, "www-data php web"},
		{"a uid without a name, as in containers", &Peer{UID: 65532}, numbers{}, "uid:65532"},
		{"the database can't be read", &Peer{UID: 33}, numbers{errors.New("back end: permission denied")}, "454 4.7.0"},
		{"the kernel did not tell", nil, numbers{}, "535 5.7.8"},
	} {
		a := newAuthenticator(t, AuthOptions{Auth: groups, System: row.system})
		c := &Client{Peer: row.peer, Remote: &net.UnixAddr{}}
		show := func(id *mail.Identity, err error) string {
			if err != nil {
				return replyCode(err)
			}
			return strings.Join(append([]string{id.Name}, id.Groups...), " ")
		}
		l, err := a.Peer(context.Background(), c)
		if got := show(&l.Identity, err); got != row.want {
			t.Errorf("%s: auth: peer gives %q (%v), want %q", row.reason, got, err, row.want)
		}
		_, external, err := feed(t, a, c, MechanismExternal, []byte(""))
		if got := show(external, err); got != row.want {
			t.Errorf("%s: EXTERNAL gives %q (%v), want %q", row.reason, got, err, row.want)
		}
	}
}

func TestHostSystemKnowsRoot(t *testing.T) {
	name, groups, err := hostSystem{}.User(context.Background(), 0, 0)
	if err != nil || name != "root" || !slices.Contains(groups, "root") {
		t.Errorf("uid 0 is %q in %q, %v", name, groups, err)
	}
	if name, _, err := (hostSystem{}).User(context.Background(), 3999999999, 0); name != "" || err != nil {
		t.Errorf("a uid nobody has: %q, %v", name, err)
	}
}
