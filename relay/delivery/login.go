package delivery

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/emersion/go-sasl"

	"github.com/postrider/postrider/internal/mail"
)

// account is how we log in at a smarthost. The zero account means that we don't.
type account struct {
	user, password string
	insecure       bool   // also without TLS
	mechanisms     string // wanted, separated by spaces; by default the strongest offered
}

// maxInitial is the longest initial response that goes into the AUTH line itself,
// so that the line stays within 512 octets (RFC 4954 section 4).
const maxInitial = 480

// login authenticates s as a, by the first mechanism of wanted that is offered or
// else by the strongest. It tells what went wrong as trouble at AUTH.
func (s *session) login(a account, wanted []string, t *Timeouts) error {
	fail := func(r mail.Reply, err error) error { return &trouble{at: atAuth, reply: r, cause: err} }
	if s.tls == "" && !a.insecure {
		return fail(mail.Reply{}, errors.New("no login without TLS"))
	}
	name := chooseMechanism(s.offers.auth, wanted)
	if name == "" {
		return fail(mail.Reply{}, fmt.Errorf("no usable AUTH mechanism among %q", s.offers.auth))
	}
	client, err := newSASL(name, a.user, a.password)
	if err != nil {
		return fail(mail.Reply{}, err)
	}
	_, initial, err := client.Start()
	if err != nil {
		return fail(mail.Reply{}, err)
	}
	line := "AUTH " + name
	encoded := base64.StdEncoding.EncodeToString(initial)
	if initial != nil && len(encoded) <= maxInitial {
		line += " " + encoded
		initial = nil
	}
	reply, err := s.command(line, t.Auth)
	for err == nil && reply.Code == 334 {
		var response []byte
		if response, initial = initial, nil; response == nil {
			if response, err = answer(client, reply.Text); err != nil {
				s.command("*", t.Auth)
				return fail(mail.Reply{}, err)
			}
		}
		reply, err = s.command(base64.StdEncoding.EncodeToString(response), t.Auth)
	}
	if err != nil {
		return fail(mail.Reply{}, err)
	}
	if reply.Code != 235 {
		return fail(reply, nil)
	}
	if c, ok := client.(interface{ done() bool }); ok && !c.done() {
		return fail(mail.Reply{}, errors.New("server did not prove that it knows the password"))
	}
	return nil
}

// answer gives a challenge to the mechanism. Text of a 334 that is no base64 is
// what some servers say instead of an empty challenge.
func answer(client sasl.Client, text string) ([]byte, error) {
	challenge, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		challenge = nil
	}
	return client.Next(challenge)
}
