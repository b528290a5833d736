package policy

import "errors"

var errEmptyPassword = errors.New("empty password")

// loginServer speaks LOGIN (draft-murchison-sasl-login): two questions, the
// first of which some clients answer before it is asked.
type loginServer struct {
	exchange
	named   bool
	account string
}

func (s *loginServer) Next(response []byte) (challenge []byte, done bool, err error) {
	switch {
	case s.over:
		return nil, false, errOver()
	case response == nil && !s.asked:
		s.asked = true
		return []byte("Username:"), false, nil
	case !s.named:
		s.named = true
		s.account = string(response)
		return []byte("Password:"), false, nil
	}
	s.over = true
	if err := checkSecret(s.account, string(response)); err != nil {
		return nil, false, err
	}
	if err := s.password("", s.account, string(response)); err != nil {
		return nil, false, err
	}
	return nil, true, nil
}
