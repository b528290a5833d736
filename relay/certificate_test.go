package relay

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/smtptest"
)

func TestSelfSignedCertificate(t *testing.T) {
	c := &config.Config{StateDir: t.TempDir(), Hostname: "relay.example.com"}
	load := func() *certificate {
		t.Helper()
		cert, err := loadCertificate(c, nil)
		if err == nil {
			err = cert.save()
		}
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	first := load()
	leaf := first.config.Certificates[0].Leaf
	for _, name := range []string{"relay.example.com", "localhost", "127.0.0.1", "::1"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Errorf("not for %s: %v", name, err)
		}
	}
	if left := time.Until(first.expires); left < selfSignedRenew {
		t.Errorf("expires in %v", left)
	}
	info, err := os.Stat(filepath.Join(c.StateDir, "tls", "self-signed.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode is %v, %v", info.Mode(), err)
	}

	if !leaf.Equal(load().config.Certificates[0].Leaf) {
		t.Error("a restart made another certificate: clients that pinned it are lost")
	}
	for _, row := range []struct{ hostname, as string }{
		{"other.example.com", "other.example.com"},
		{"[192.0.2.1]", "192.0.2.1"},
		{"[IPv6:2001:db8::1]", "2001:db8::1"},
	} {
		c.Hostname = row.hostname
		leaf := load().config.Certificates[0].Leaf
		if err := leaf.VerifyHostname(row.as); err != nil {
			t.Errorf("the certificate did not follow the host name: %v", err)
		}
		if !leaf.Equal(load().config.Certificates[0].Leaf) {
			t.Errorf("each start as %s makes another certificate", row.hostname)
		}
	}
}

// A certificate that can't be saved is still the one that clients have seen.
func TestSelfSignedThatCantBeSaved(t *testing.T) {
	c := &config.Config{StateDir: t.TempDir(), Hostname: "relay.example.com"}
	if err := os.WriteFile(filepath.Join(c.StateDir, "tls"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := loadCertificate(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.save(); err == nil {
		t.Fatal("it was saved in a file")
	}
	again, err := loadCertificate(c, first.own)
	if err != nil || !again.config.Certificates[0].Leaf.Equal(first.config.Certificates[0].Leaf) {
		t.Errorf("a reload made another one, %v", err)
	}
}

func TestCertificateErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	c := &config.Config{StateDir: dir, Hostname: "relay.example.com"}
	cert, err := loadCertificate(c, nil)
	if err == nil {
		err = cert.save()
	}
	if err != nil {
		t.Fatal(err)
	}
	good := filepath.Join(dir, "tls", "self-signed")
	garbage := filepath.Join(dir, "garbage.pem")
	if err := os.WriteFile(garbage, []byte("not PEM\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		why  string
		tls  config.TLS
		want string
	}{
		{"the file is not there", config.TLS{Certificate: dir + "/missing.crt", Key: good + ".key"}, "missing.crt"},
		{"the file holds no certificate", config.TLS{Certificate: garbage, Key: good + ".key"}, "garbage.pem"},
		{"the CA file holds none", config.TLS{ClientCA: garbage}, "tls.client_ca"},
	} {
		c.TLS = row.tls
		if _, err := loadCertificate(c, nil); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, which does not name %s", row.why, err, row.want)
		}
	}
}

// TestAnExpiredCertificateIsTold, and used: clients that don't verify it get on.
func TestAnExpiredCertificateIsTold(t *testing.T) {
	dir := t.TempDir()
	pair := smtptest.NewAuthority(t).Expired(t, "relay.test").Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for file, block := range map[string]*pem.Block{
		cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]},
		key:  {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, keys{"tls": "{certificate: " + cert + ", key: " + key + "}"})
	if log := f.logged(); !strings.Contains(log, cert+" has expired") {
		t.Error(log)
	}
}
