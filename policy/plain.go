package policy

import (
	"strings"
	"unicode/utf8"
)

// maxSecret bounds a password, in octets; longer ones can't be anybody's.
const maxSecret = 1024

// plainServer speaks PLAIN (RFC 4616).
type plainServer struct {
	exchange
}

func (s *plainServer) Next(response []byte) (challenge []byte, done bool, err error) {
	if challenge, err := s.open(response); challenge != nil || err != nil {
		return challenge, false, err
	}
	s.over = true
	parts := strings.Split(string(response), "\x00")
	if len(parts) != 3 {
		return nil, false, malformed("not authzid NUL name NUL password")
	}
	if err := checkSecret(parts[1], parts[2]); err != nil {
		return nil, false, err
	}
	if err := s.password(parts[0], parts[1], parts[2]); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}

// checkSecret refuses at once what no line of a users file can hold; that tells
// nothing about who is in there.
func checkSecret(name, password string) error {
	switch {
	case !utf8.ValidString(name) || !utf8.ValidString(password):
		return malformed("not UTF-8")
	case name == "":
		return malformed("empty user name")
	case len(name) > maxUserName:
		return malformed("user name too long")
	case len(password) > maxSecret:
		return malformed("password too long")
	case password == "":
		return refused(errEmptyPassword)
	}
	return nil
}
