package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// write puts text into a file, and makes its directory.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// secrets makes a directory with the files that examples refer to: tls/tls.crt,
// tls/tls.key, tls/ca.crt, users, smarthost.
func secrets(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"relay.example.com"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	crt := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	write(t, filepath.Join(dir, "tls/tls.crt"), crt)
	write(t, filepath.Join(dir, "tls/ca.crt"), crt)
	write(t, filepath.Join(dir, "tls/tls.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	write(t, filepath.Join(dir, "users"), "")
	write(t, filepath.Join(dir, "smarthost"), "opensesame\n")
	return dir
}

// inDir turns the absolute paths of examples into paths below dir.
func inDir(text, dir string) string {
	return strings.NewReplacer(
		"/tls/", dir+"/tls/",
		"/etc/postrider/users", dir+"/users",
		"/run/secrets/smarthost", dir+"/smarthost",
		"/var/lib/postrider", dir+"/state",
	).Replace(text)
}
