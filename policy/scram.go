package policy

import (
	"bytes"
	"crypto"
	_ "crypto/sha256" // hashes of tls-server-end-point
	_ "crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/xdg-go/scram"
)

// scramServer speaks SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677).
type scramServer struct {
	exchange
	conversation *scram.ServerConversation
	lookup       error // the back end's fault, not the client's
}

func (s *scramServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if challenge, err := s.open(response); challenge != nil || err != nil {
		return challenge, false, err
	}
	if s.conversation != nil && s.conversation.Valid() {
		// The server's own proof was sent as a challenge; the client
		// acknowledges it with nothing (RFC 4954 section 4).
		s.over = true
		if len(response) > 0 {
			return nil, false, malformed("a response to the server's proof")
		}
		s.succeed(s.conversation.Username())
		return nil, true, nil
	}
	challenge, err = s.step(response)
	if err != nil {
		s.over = true
	}
	return challenge, false, err
}

func (s *scramServer) step(response []byte) ([]byte, error) {
	if !utf8.Valid(response) || bytes.IndexByte(response, 0) >= 0 {
		return nil, malformed("not UTF-8")
	}
	if s.conversation == nil {
		if err := s.begin(string(response)); err != nil {
			return nil, err
		}
	}
	out, err := s.conversation.Step(string(response))
	if err != nil {
		return nil, s.failure(out, err)
	}
	if err := checkAuthzid(s.conversation.AuthzID(), s.conversation.Username()); err != nil {
		return nil, err
	}
	if s.conversation.Valid() && s.credentials == nil {
		return nil, refused(errors.New("no such user"))
	}
	return []byte(out), nil
}

// failure sorts what the library found wrong, by the error value of RFC 5802
// section 7 it would tell the client.
func (s *scramServer) failure(value string, err error) error {
	err = fmt.Errorf("user %.64q: %w", s.conversation.Username(), err)
	switch {
	case s.lookup != nil:
		return unavailable(s.lookup)
	case value == "" || value == scram.ErrInvalidEncoding || value == scram.ErrInvalidUsernameEncoding:
		return malformed(err.Error())
	}
	return refused(err)
}

// begin makes the conversation the client's first message asks for.
func (s *scramServer) begin(first string) error {
	server, err := scram.SHA256.NewServer(s.answer)
	if err != nil {
		return unavailable(err)
	}
	flag, _, _ := strings.Cut(first, ",")
	kind, bound := strings.CutPrefix(flag, "p=")
	switch plus := s.mechanism == MechanismScramPlus; {
	case bound != plus:
		return malformed("channel binding goes with the mechanism " + MechanismScramPlus)
	case plus:
		binding, err := s.client.binding(scram.ChannelBindingType(kind))
		if err != nil {
			return refused(err)
		}
		s.conversation = server.NewConversationWithChannelBindingRequired(binding)
	case flag == "y" && s.offeredPlus():
		// The client could have bound the channel and was not shown that we
		// can: somebody in the middle took it out of our EHLO.
		return refused(errors.New("the offer of " + MechanismScramPlus + " did not reach the client"))
	default:
		s.conversation = server.NewConversation()
	}
	return nil
}

func (s *scramServer) offeredPlus() bool {
	_, all := s.auth.directory.Scram()
	return all && s.client.bindable()
}

// answer answers the library's question for a user. Those who don't exist
// get the parameters a user may have, with a salt that is the same every time,
// and fail at their proof like a wrong password.
func (s *scramServer) answer(name string) (scram.StoredCredentials, error) {
	c, err := s.auth.directory.Lookup(s.ctx, name)
	if err != nil {
		s.lookup = fmt.Errorf("look up user %.64q: %w", name, err)
		return scram.StoredCredentials{}, s.lookup
	}
	if c != nil && c.Scram != nil {
		s.credentials = c
		return c.Scram.credentials, nil
	}
	factors := scram.KeyFactors{Iters: scramIterations}
	if d := s.auth.directory.Decoy(name); d.Scram != nil {
		factors = d.Scram.credentials.KeyFactors
	}
	salt := hmacSHA256(s.auth.decoyKey, "salt of "+name)
	factors.Salt = string(salt[:max(8, min(len(factors.Salt), len(salt)))])
	return scram.StoredCredentials{KeyFactors: factors, StoredKey: randomBytes(32), ServerKey: randomBytes(32)}, nil
}

// bindable reports whether some channel binding works. TLS 1.2 without extended
// master secret has no tls-exporter (RFC 9266 section 3).
func (c *Client) bindable() bool {
	if c.TLS == nil || !c.TLS.HandshakeComplete {
		return false
	}
	_, err := scram.NewTLSExporterBinding(c.TLS)
	return err == nil || len(c.Certificate) > 0
}

// binding returns what ties an exchange to this TLS connection (RFC 5929,
// RFC 9266).
func (c *Client) binding(kind scram.ChannelBindingType) (scram.ChannelBinding, error) {
	if c.TLS == nil || !c.TLS.HandshakeComplete {
		return scram.ChannelBinding{}, errors.New("channel binding without TLS")
	}
	switch kind {
	case scram.ChannelBindingTLSExporter:
		return scram.NewTLSExporterBinding(c.TLS)
	case scram.ChannelBindingTLSUnique:
		// What GNU SASL takes under TLS 1.2. Without extended master secret it can
		// be made the same for two connections (RFC 7627 section 1).
		if _, err := scram.NewTLSExporterBinding(c.TLS); err != nil || len(c.TLS.TLSUnique) == 0 {
			return scram.ChannelBinding{}, errors.New("tls-unique is not defined for this connection")
		}
		return scram.NewTLSUniqueBinding(c.TLS.TLSUnique), nil
	case scram.ChannelBindingTLSServerEndpoint:
		data, err := endPoint(c.Certificate)
		return scram.ChannelBinding{Type: kind, Data: data}, err
	}
	return scram.ChannelBinding{}, fmt.Errorf("channel binding %.32q is not supported", kind)
}

// endPoint hashes the server's certificate with the hash of its signature, or
// SHA-256 in place of an older one (RFC 5929 section 4.1). A signature without a
// hash of its own, such as Ed25519, leaves it undefined.
func endPoint(der []byte) ([]byte, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("tls-server-end-point: %w", err)
	}
	var h crypto.Hash
	switch cert.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256:
		h = crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		h = crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		h = crypto.SHA512
	default:
		return nil, fmt.Errorf("tls-server-end-point is not defined for %s", cert.SignatureAlgorithm)
	}
	sum := h.New()
	sum.Write(der)
	return sum.Sum(nil), nil
}
