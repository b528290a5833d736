package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider/postrider/internal/config"
)

const (
	selfSignedLifetime = 825 * 24 * time.Hour // the most that common clients take
	selfSignedRenew    = 30 * 24 * time.Hour  // before its end
)

// certificate is what listeners show, with what its metric needs.
type certificate struct {
	config  *tls.Config
	expires time.Time
}

// loadCertificate reads the configured certificate, or the self-signed one of
// the state directory, which it makes where there is none or it is about to
// expire.
func loadCertificate(c *config.Config) (*certificate, error) {
	certFile, keyFile := c.TLS.Certificate, c.TLS.Key
	if certFile == "" {
		dir := filepath.Join(c.StateDir, "tls")
		certFile, keyFile = filepath.Join(dir, "self-signed.crt"), filepath.Join(dir, "self-signed.key")
		if !usable(certFile, keyFile, c.Hostname) {
			if err := makeSelfSigned(certFile, keyFile, c.Hostname); err != nil {
				return nil, fmt.Errorf("making a self-signed certificate: %w", err)
			}
		}
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("tls.certificate %s, tls.key %s: %w", certFile, keyFile, err)
	}
	tc := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
	}
	if c.TLS.ClientCA != "" {
		pool, err := loadPool(c.TLS.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("tls.client_ca: %w", err)
		}
		tc.ClientCAs, tc.ClientAuth = pool, tls.VerifyClientCertIfGiven
	}
	return &certificate{config: tc, expires: pair.Leaf.NotAfter}, nil
}

func loadPool(file string) (*x509.CertPool, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// usable reports whether the self-signed pair is there, fits hostname, and has
// some time left.
func usable(certFile, keyFile, hostname string) bool {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	return err == nil && time.Until(pair.Leaf.NotAfter) > selfSignedRenew && pair.Leaf.VerifyHostname(hostname) == nil
}

// makeSelfSigned writes a key (0600) and a certificate for hostname and
// loopback. The key goes first, so that a crash leaves no certificate without.
func makeSelfSigned(certFile, keyFile, hostname string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: hostname, Organization: []string{"Postrider, self-signed"}},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(selfSignedLifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{hostname, "localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(keyFile), 0o700); err != nil {
		return err
	}
	return errors.Join(
		writePEM(keyFile, "PRIVATE KEY", keyDER, 0o600),
		writePEM(certFile, "CERTIFICATE", der, 0o644),
	)
}

func writePEM(file, kind string, der []byte, mode os.FileMode) error {
	temp := file + ".new"
	if err := os.WriteFile(temp, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode); err != nil {
		return err
	}
	return os.Rename(temp, file)
}
