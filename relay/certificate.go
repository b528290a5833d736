package relay

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider/postrider/internal/config"
)

// certificate is what listeners show, with what its metric needs.
type certificate struct {
	config  *tls.Config
	expires time.Time
	own     *selfSigned // nil if tls.certificate names one
}

// loadCertificate reads the configured certificate, or the self-signed one of
// the state directory, where own is the last one. A self-signed one that it had to make
// is still to be saved.
func loadCertificate(c *config.Config, own *selfSigned) (*certificate, error) {
	cert := &certificate{config: &tls.Config{MinVersion: tls.VersionTLS12}}
	pair, err := cert.pair(c, own)
	if err != nil {
		return nil, err
	}
	cert.config.Certificates, cert.expires = []tls.Certificate{pair}, pair.Leaf.NotAfter
	if c.TLS.ClientCA != "" {
		pool, err := loadPool(c.TLS.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("tls.client_ca: %w", err)
		}
		cert.config.ClientCAs, cert.config.ClientAuth = pool, tls.VerifyClientCertIfGiven
	}
	return cert, nil
}

func (cert *certificate) pair(c *config.Config, own *selfSigned) (tls.Certificate, error) {
	if c.TLS.Certificate == "" {
		var err error
		if cert.own, err = loadSelfSigned(filepath.Join(c.StateDir, "tls"), c.Hostname, own); err != nil {
			return tls.Certificate{}, fmt.Errorf("making a self-signed certificate: %w", err)
		}
		return cert.own.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(c.TLS.Certificate, c.TLS.Key)
	if err != nil {
		return pair, fmt.Errorf("tls.certificate %s, tls.key %s: %w", c.TLS.Certificate, c.TLS.Key, err)
	}
	return pair, nil
}

// save writes what listeners will still show after a restart.
func (cert *certificate) save() error {
	if cert.own == nil {
		return nil
	}
	if err := cert.own.save(); err != nil {
		return fmt.Errorf("writing the self-signed certificate: %w", err)
	}
	return nil
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
