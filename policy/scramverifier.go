package policy

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
	"github.com/xdg-go/stringprep"
)

const (
	scramPrefix = "SCRAM-SHA-256$"

	scramIterations    = 10_000 // what AddUser writes
	minScramIterations = 4_096  // RFC 7677 section 4
	maxScramIterations = 1_000_000
)

// ScramVerifier is what SCRAM-SHA-256 keeps of a password (RFC 5802 section 3).
// It is written SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey, as PostgreSQL
// does; a users file with it can log a client in but can't be used to log in
// elsewhere.
type ScramVerifier struct {
	credentials scram.StoredCredentials
	text        string
}

func parseScramVerifier(s string) (*ScramVerifier, error) {
	malformed := errors.New("malformed SCRAM verifier; expected SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey")
	f := strings.Split(strings.TrimPrefix(s, scramPrefix), "$")
	if len(f) != 2 {
		return nil, malformed
	}
	count, salt64, ok1 := strings.Cut(f[0], ":")
	stored64, server64, ok2 := strings.Cut(f[1], ":")
	n, err := strconv.Atoi(count)
	if !ok1 || !ok2 || err != nil {
		return nil, malformed
	}
	if n < minScramIterations || n > maxScramIterations {
		return nil, fmt.Errorf("SCRAM with %d iterations; expected %d to %d", n, minScramIterations, maxScramIterations)
	}
	b64 := base64.StdEncoding.Strict()
	salt, err1 := b64.DecodeString(salt64)
	stored, err2 := b64.DecodeString(stored64)
	server, err3 := b64.DecodeString(server64)
	if err := errors.Join(err1, err2, err3); err != nil || len(salt) < 8 || len(salt) > 64 ||
		len(stored) != sha256.Size || len(server) != sha256.Size {
		return nil, malformed
	}
	return &ScramVerifier{text: s, credentials: scram.StoredCredentials{
		KeyFactors: scram.KeyFactors{Salt: string(salt), Iters: n}, StoredKey: stored, ServerKey: server,
	}}, nil
}

// newScramVerifier makes a verifier of password with a random salt.
func newScramVerifier(password string) (*ScramVerifier, error) {
	factors := scram.KeyFactors{Salt: string(randomBytes(16)), Iters: scramIterations}
	stored, server, err := scramKeys(password, factors)
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return &ScramVerifier{
		credentials: scram.StoredCredentials{KeyFactors: factors, StoredKey: stored, ServerKey: server},
		text:        fmt.Sprintf("%s%d:%s$%s:%s", scramPrefix, factors.Iters, b64([]byte(factors.Salt)), b64(stored), b64(server)),
	}, nil
}

// scramKeys derives StoredKey and ServerKey (RFC 5802 section 3). A password
// that SASLprep refuses is used as it is, as PostgreSQL does; clients that
// can't prepare it can't use SCRAM with it, PLAIN still works.
func scramKeys(password string, f scram.KeyFactors) (stored, server []byte, err error) {
	if prepared, err := stringprep.SASLprep.Prepare(password); err == nil {
		password = prepared
	}
	salted, err := pbkdf2.Key(sha256.New, password, []byte(f.Salt), f.Iters, sha256.Size)
	if err != nil {
		return nil, nil, err
	}
	client := hmacSHA256(salted, "Client Key")
	sum := sha256.Sum256(client)
	return sum[:], hmacSHA256(salted, "Server Key"), nil
}

func hmacSHA256(key []byte, message string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(message))
	return m.Sum(nil)
}

// Verify checks a password that came in clear, so that a user whose line has
// nothing else can log in by PLAIN too.
func (v *ScramVerifier) Verify(password string) bool {
	stored, _, err := scramKeys(password, v.credentials.KeyFactors)
	return err == nil && subtle.ConstantTimeCompare(stored, v.credentials.StoredKey) == 1
}

// String returns the verifier as it stands in a users file.
func (v *ScramVerifier) String() string { return v.text }
