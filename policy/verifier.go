package policy

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Verifier checks a password against what is stored of it. It is slow on
// purpose: tens of milliseconds of one core.
type Verifier interface {
	// Verify reports whether password is the one the verifier was made from.
	Verify(password string) bool
	// String returns the verifier as it stands in a users file.
	String() string
}

// Bounds on what a users file may ask of a login. A cost beyond them would let
// one line of a file, or a slip of the hand, take a core or the memory of the
// whole relay.
const (
	bcryptCost    = bcrypt.DefaultCost // what AddUser writes
	maxBcryptCost = 16                 // some 5 s
	maxBcryptKey  = 72                 // octets of a password that count

	maxArgonMemory  = 128 << 10 // KiB
	maxArgonTime    = 10
	maxArgonThreads = 16
)

// parseVerifier reads one verifier of a users file. Errors never repeat what
// was read: it may be a password somebody wrote there in clear.
func parseVerifier(s string) (Verifier, error) {
	switch {
	case strings.HasPrefix(s, "$2"):
		return parseBcrypt(s)
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon2id(s)
	case strings.HasPrefix(s, scramPrefix):
		return parseScramVerifier(s)
	}
	return nil, errors.New("no hash of a known kind; expected one that begins with $2b$ (bcrypt), $argon2id$ or SCRAM-SHA-256$")
}

// bcryptVerifier is a modular crypt string: "$2b$", cost, 22 characters of
// salt and 31 of hash.
type bcryptVerifier string

func parseBcrypt(s string) (Verifier, error) {
	const length = 60
	if len(s) != length || !strings.Contains("aby", s[2:3]) || s[3] != '$' || s[6] != '$' {
		return nil, errors.New("malformed bcrypt hash; expected 60 characters that begin with $2a$, $2b$ or $2y$ and a cost")
	}
	cost, err := bcrypt.Cost([]byte(s))
	if err != nil || strings.Trim(s[7:], bcryptAlphabet) != "" {
		return nil, errors.New("malformed bcrypt hash")
	}
	if cost > maxBcryptCost {
		return nil, fmt.Errorf("bcrypt cost %d; expected at most %d", cost, maxBcryptCost)
	}
	return bcryptVerifier(s), nil
}

const bcryptAlphabet = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// newBcrypt makes a verifier. Passwords that bcrypt would cut are refused.
func newBcrypt(password string, cost int) (Verifier, error) {
	if len(password) > maxBcryptKey {
		return nil, fmt.Errorf("password of %d octets; expected at most %d", len(password), maxBcryptKey)
	}
	h, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	return bcryptVerifier(h), nil
}

func (v bcryptVerifier) Verify(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(v), []byte(password)) == nil
}

func (v bcryptVerifier) String() string { return string(v) }

// argonVerifier is a PHC string: $argon2id$v=19$m=65536,t=3,p=4$salt$hash with
// unpadded base64.
type argonVerifier struct {
	memory     uint32 // KiB
	time       uint32
	threads    uint8
	salt, hash []byte
	text       string
}

func parseArgon2id(s string) (Verifier, error) {
	malformed := errors.New("malformed argon2id hash; expected $argon2id$v=19$m=KIB,t=N,p=N$salt$hash")
	f := strings.Split(s, "$")
	if len(f) != 6 || f[2] != "v=19" {
		return nil, malformed
	}
	parameters := strings.Split(f[3], ",")
	if len(parameters) != 3 {
		return nil, malformed
	}
	var n [3]uint64
	for i, key := range []string{"m=", "t=", "p="} {
		value, ok := strings.CutPrefix(parameters[i], key)
		if !ok {
			return nil, malformed
		}
		var err error
		if n[i], err = strconv.ParseUint(value, 10, 32); err != nil || n[i] == 0 {
			return nil, malformed
		}
	}
	switch {
	case n[0] > maxArgonMemory:
		return nil, fmt.Errorf("argon2id m=%d; expected at most %d KiB", n[0], maxArgonMemory)
	case n[1] > maxArgonTime:
		return nil, fmt.Errorf("argon2id t=%d; expected at most %d", n[1], maxArgonTime)
	case n[2] > maxArgonThreads:
		return nil, fmt.Errorf("argon2id p=%d; expected at most %d", n[2], maxArgonThreads)
	}
	b64 := base64.RawStdEncoding.Strict()
	salt, err1 := b64.DecodeString(f[4])
	hash, err2 := b64.DecodeString(f[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(salt) > 64 || len(hash) < 16 || len(hash) > 64 {
		return nil, malformed
	}
	return &argonVerifier{memory: uint32(n[0]), time: uint32(n[1]), threads: uint8(n[2]), salt: salt, hash: hash, text: s}, nil
}

func (v *argonVerifier) Verify(password string) bool {
	h := argon2.IDKey([]byte(password), v.salt, v.time, v.memory, v.threads, uint32(len(v.hash)))
	return subtle.ConstantTimeCompare(h, v.hash) == 1
}

func (v *argonVerifier) String() string { return v.text }

// randomBytes returns n octets nobody can guess.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails (crypto/rand)
	return b
}
