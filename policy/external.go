package policy

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail"
)

// externalServer speaks EXTERNAL (RFC 4422 appendix A): who the client is was
// proven below SMTP, by its certificate or by the kernel.
type externalServer struct {
	exchange
}

func (s *externalServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if challenge, err := s.open(response); challenge != nil || err != nil {
		return challenge, false, err
	}
	s.over = true
	if !utf8.Valid(response) || bytes.IndexByte(response, 0) >= 0 {
		return nil, false, malformed("authorization identity is not UTF-8 without NUL")
	}
	name, groups, err := s.auth.external(s.ctx, s.client)
	if err != nil {
		return nil, false, err
	}
	if err := checkAuthzid(string(response), name); err != nil {
		return nil, false, err
	}
	s.succeed(name, groups...)
	return nil, true, nil
}

// external returns who c is without asking it.
func (a *authenticator) external(ctx context.Context, c *Client) (name string, groups []string, err error) {
	if c.Peer != nil {
		return a.peer(ctx, c.Peer)
	}
	name, err = a.certificateIdentity(c.TLS)
	if err != nil {
		return "", nil, refused(err)
	}
	return name, nil, nil
}

// Peer returns the identity of a unix socket's calling process.
func (a *authenticator) Peer(ctx context.Context, c *Client) (Login, error) {
	if c.Peer == nil {
		return Login{}, refused(errors.New("the kernel did not tell who calls"))
	}
	name, groups, err := a.peer(ctx, c.Peer)
	if err != nil {
		return Login{}, err
	}
	return Login{Identity: a.identity(name, MechanismPeer, groups)}, nil
}

// certificateIdentity returns the identity of the first entry of
// auth.certificates that names the client's certificate. Only a certificate
// that was verified up to tls.client_ca counts: a server that merely asks for
// certificates sees what anybody made for themselves.
func (a *authenticator) certificateIdentity(state *tls.ConnectionState) (string, error) {
	if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return "", errors.New("no verified client certificate")
	}
	leaf := state.VerifiedChains[0][0]
	for _, c := range a.certificates {
		if names(leaf, c.Subject) {
			if c.Identity == "" {
				return c.Subject, nil
			}
			return c.Identity, nil
		}
	}
	return "", errors.New("auth.certificates does not name the client's certificate")
}

// names reports whether subject is a DNS name, an e-mail address or a URI of
// the certificate's alternative names, or its common name. Wildcard names in
// certificates stand for themselves only.
func names(c *x509.Certificate, subject string) bool {
	for _, n := range c.DNSNames {
		if strings.EqualFold(n, subject) {
			return true
		}
	}
	for _, n := range c.EmailAddresses {
		if n == subject || sameMailbox(n, subject) {
			return true
		}
	}
	for _, u := range c.URIs {
		if u.String() == subject {
			return true
		}
	}
	return c.Subject.CommonName == subject
}

// sameMailbox compares addresses whose domains may differ in case (RFC 5280
// 4.2.1.6).
func sameMailbox(a, b string) bool {
	x, errX := mail.ParseAddress(a)
	y, errY := mail.ParseAddress(b)
	return errX == nil && errY == nil && x == y
}
