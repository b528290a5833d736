package relay

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

const (
	selfSignedLifetime = 825 * 24 * time.Hour // the most that common clients take
	selfSignedRenew    = 30 * 24 * time.Hour  // before its end
)

// selfSigned is a certificate that vouches for itself, for relays that have no
// other. It is made once and kept in a directory: clients may have pinned it.
type selfSigned struct {
	pair      tls.Certificate
	dir       string
	cert, key []byte // in PEM, to be written to dir; nil if they were read from there
}

// loadSelfSigned reads the pair in dir. If there is none, it is for another host name,
// or it is about to expire, last stays, which could not be saved, or one is made. It
// writes nothing, see save.
func loadSelfSigned(dir, hostname string, last *selfSigned) (*selfSigned, error) {
	s := &selfSigned{dir: dir}
	var err error
	if s.pair, err = tls.LoadX509KeyPair(s.certFile(), s.keyFile()); err == nil && usable(s.pair.Leaf, hostname) {
		return s, nil
	}
	if last != nil && usable(last.pair.Leaf, hostname) {
		return last, nil
	}
	if err := s.make(hostname); err != nil {
		return nil, err
	}
	s.pair, err = tls.X509KeyPair(s.cert, s.key)
	return s, err
}

func (s *selfSigned) certFile() string { return filepath.Join(s.dir, "self-signed.crt") }
func (s *selfSigned) keyFile() string  { return filepath.Join(s.dir, "self-signed.key") }

// usable reports whether a certificate is for hostname and has some time left.
func usable(leaf *x509.Certificate, hostname string) bool {
	if addr, ok := literal(hostname); ok {
		hostname = addr.String()
	}
	return time.Until(leaf.NotAfter) > selfSignedRenew && leaf.VerifyHostname(hostname) == nil
}

// literal returns the address of a host whose name is one.
func literal(hostname string) (net.IP, bool) {
	d, _ := mail.ParseDomain(hostname) // has been checked
	addr, ok := d.Literal()
	return addr.AsSlice(), ok
}

// make makes a key and a certificate for hostname and loopback.
func (s *selfSigned) make(hostname string) error {
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
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if addr, ok := literal(hostname); ok {
		template.IPAddresses = append(template.IPAddresses, addr)
	} else {
		template.DNSNames = append(template.DNSNames, hostname)
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	s.cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	s.key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	return nil
}

// save writes a pair that was made. The key goes first, so that a crash leaves no
// certificate without.
func (s *selfSigned) save() error {
	if s.key == nil {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if err := replace(s.keyFile(), s.key, 0o600); err != nil {
		return err
	}
	return replace(s.certFile(), s.cert, 0o644)
}

// replace writes a file as a whole or not at all.
func replace(file string, content []byte, mode os.FileMode) error {
	temp := file + ".new"
	if err := os.WriteFile(temp, content, mode); err != nil {
		return err
	}
	return os.Rename(temp, file)
}
