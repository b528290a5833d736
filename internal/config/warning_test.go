package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What works, and hardly as somebody meant it, is told with its place.
func TestWarnings(t *testing.T) {
	dir := secrets(t)
	t.Chdir(dir)
	certificate(t, "old", time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	certificate(t, "early", time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))
	const base = "listeners: [{address: \":5870\"}]\n"
	const named = "hostname: relay.example.com\n" + base
	for _, row := range []struct{ why, text, want string }{
		{"nothing", named, ""},
		{"an address as name", "hostname: \"[IPv6:2001:db8::1]\"\n" + base, ""},
		{"a name without a domain", "hostname: 3f2a9c\n" + base, `f.yaml:1: hostname: "3f2a9c" has no domain`},
		{"a certificate that has expired", named + "tls:\n  certificate: old.crt\n  key: old.key\n", "f.yaml:4: tls.certificate: old.crt has expired ("},
		{"a certificate of tomorrow", named + "tls:\n  certificate: early.crt\n  key: early.key\n", "f.yaml:4: tls.certificate: early.crt is not valid yet ("},
		{"limits that never act", named + "policies:\n  - limits:\n      recipients: 2000\n      size: 26MiB\n",
			"f.yaml:5: policies[0].limits.recipients: 2000 is beyond submission.max_recipients (1000), which holds for everybody\n" +
				"f.yaml:6: policies[0].limits.size: 26MiB is beyond submission.max_message_size (25MiB), which holds for everybody"},
		{"limits that act", named + "policies:\n  - limits: {recipients: 1000, size: 25MiB}\n", ""},
	} {
		write(t, "f.yaml", row.text)
		c, err := Loader{Bystander: true}.Load("f.yaml", nil)
		if err != nil {
			t.Errorf("%s: %v", row.why, err)
			continue
		}
		got := c.Warnings.Error()
		if row.want == "" && got != "" || !strings.HasPrefix(got, row.want) {
			t.Errorf("%s: %q, want %q", row.why, got, row.want)
		}
	}
}

// certificate writes name.crt and name.key.
func certificate(t *testing.T, name string, from, to time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: to}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	write(t, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// A fault found later is told as if it had been found at once.
func TestFaultOfALoadedConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.yaml")
	write(t, file, "hostname: relay.example.com\n\nstate_dir: ./s\nlisteners: [{address: \":5870\"}]\n")
	for _, row := range []struct{ why, key, variable, want string }{
		{"of the file", "state_dir", "", file + ":3: state_dir: has changed"},
		{"of the environment", "state_dir", "POSTRIDER_STATE_DIR=./t", "environment POSTRIDER_STATE_DIR: state_dir: has changed"},
		{"a key nobody set, in one that is", "listeners[0].tls", "", file + ":4: listeners[0].tls: has changed"},
		{"a key nobody set", "memory", "", file + ": memory: has changed"},
	} {
		c, err := Loader{Bystander: true}.Load(file, []string{row.variable})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Fault(row.key, "has %s", "changed").Error(); got != row.want {
			t.Errorf("%s: %s, want %s", row.why, got, row.want)
		}
	}
}
