package delivery

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/emersion/go-sasl"
	"github.com/xdg-go/scram"

	"github.com/postrider/postrider/internal/config"
)

// chooseMechanism returns the first of wanted, or of all we speak if wanted is
// empty, that the host offers; "" if there is none.
func chooseMechanism(offered, wanted []string) string {
	if len(wanted) == 0 {
		wanted = config.Mechanisms
	}
	for _, m := range wanted {
		if slices.Contains(offered, m) {
			return m
		}
	}
	return ""
}

// newSASL returns a client of mechanism, one of config.Mechanisms.
func newSASL(mechanism, user, password string) (sasl.Client, error) {
	switch mechanism {
	case "SCRAM-SHA-256":
		client, err := scram.SHA256.NewClient(user, password, "")
		if err != nil {
			return nil, err
		}
		return &scramClient{exchange: client.NewConversation()}, nil
	case "CRAM-MD5":
		return &cramMD5{user: user, password: password}, nil
	case "LOGIN":
		return &loginClient{answers: []string{user, password}}, nil
	default:
		return sasl.NewPlainClient("", user, password), nil
	}
}

// errSurplusChallenge is a server that goes on asking after everything was said.
var errSurplusChallenge = errors.New("server asks for more than the mechanism has")

// loginClient answers the first challenge with the user and the second with the
// password, whatever words the server asks in; they differ between servers.
type loginClient struct{ answers []string }

func (c *loginClient) Start() (string, []byte, error) { return "LOGIN", nil, nil }

func (c *loginClient) Next([]byte) ([]byte, error) {
	if len(c.answers) == 0 {
		return nil, errSurplusChallenge
	}
	answer := c.answers[0]
	c.answers = c.answers[1:]
	return []byte(answer), nil
}

// cramMD5 is RFC 2195.
type cramMD5 struct {
	user, password string
	answered       bool
}

func (c *cramMD5) Start() (string, []byte, error) { return "CRAM-MD5", nil, nil }

func (c *cramMD5) Next(challenge []byte) ([]byte, error) {
	if c.answered {
		return nil, errSurplusChallenge
	}
	c.answered = true
	mac := hmac.New(md5.New, []byte(c.password))
	mac.Write(challenge)
	return []byte(c.user + " " + hex.EncodeToString(mac.Sum(nil))), nil
}

// scramClient is RFC 7677. done tells whether the server has proved that it knows
// the password too.
type scramClient struct{ exchange *scram.ClientConversation }

func (c *scramClient) Start() (string, []byte, error) {
	first, err := c.exchange.Step("")
	return "SCRAM-SHA-256", []byte(first), err
}

func (c *scramClient) Next(challenge []byte) ([]byte, error) {
	if c.exchange.Done() {
		return nil, errSurplusChallenge
	}
	response, err := c.exchange.Step(string(challenge))
	return []byte(response), err
}

func (c *scramClient) done() bool { return c.exchange.Valid() }
