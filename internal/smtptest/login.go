package smtptest

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/xdg-go/scram"
)

func (s *Script) mechanisms() []string {
	if len(s.Mechanisms) > 0 {
		return s.Mechanisms
	}
	return []string{"PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"}
}

// auth goes through one AUTH exchange.
func (t *talk) auth(line, params string) error {
	c := Command{Step: Auth, Line: line}
	if a := t.wanted(&c); !a.isZero() {
		_, err := t.do(a)
		return err
	}
	mechanism, initial, _ := strings.Cut(params, " ")
	mechanism = strings.ToUpper(mechanism)
	var user string
	var err error
	switch mechanism {
	case "PLAIN":
		user, err = t.plain(initial)
	case "LOGIN":
		user, err = t.loginLogin(initial)
	case "CRAM-MD5":
		user, err = t.cramMD5()
	case "SCRAM-SHA-256":
		user, err = t.scram(initial)
	default:
		return t.say("504 5.5.4 unknown mechanism")
	}
	if err != nil {
		return err
	}
	if user == "" {
		return t.say("535 5.7.8 wrong user or password")
	}
	t.user = user
	t.peer.update(func() { t.record.User, t.record.Mechanism = user, mechanism })
	return t.say("235 2.7.0 welcome")
}

// challenge sends a 334 and returns the answer.
func (t *talk) challenge(text string) (string, error) {
	t.say("334 " + base64.StdEncoding.EncodeToString([]byte(text)))
	line, err := t.line()
	if err != nil {
		return "", err
	}
	return decode(line), nil
}

func decode(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}

// verify returns user if the password is right.
func (t *talk) verify(user, password string) string {
	if want, ok := t.peer.script.Users[user]; ok && want == password {
		return user
	}
	return ""
}

func (t *talk) plain(initial string) (string, error) {
	response := decode(initial)
	if initial == "" {
		var err error
		if response, err = t.challenge(""); err != nil {
			return "", err
		}
	}
	parts := strings.Split(response, "\x00")
	if len(parts) != 3 {
		return "", nil
	}
	return t.verify(parts[1], parts[2]), nil
}

func (t *talk) loginLogin(initial string) (user string, err error) {
	if user = decode(initial); initial == "" {
		if user, err = t.challenge("User Name\x00"); err != nil {
			return "", err
		}
	}
	password, err := t.challenge("Password\x00")
	if err != nil {
		return "", err
	}
	return t.verify(user, password), nil
}

func (t *talk) cramMD5() (string, error) {
	const stamp = "<1.2@peer.test>"
	response, err := t.challenge(stamp)
	if err != nil {
		return "", err
	}
	user, digest, _ := strings.Cut(response, " ")
	mac := hmac.New(md5.New, []byte(t.peer.script.Users[user]))
	mac.Write([]byte(stamp))
	if t.peer.script.Users[user] == "" || digest != hex.EncodeToString(mac.Sum(nil)) {
		return "", nil
	}
	return user, nil
}

// scram is RFC 5802 with the server's proof in a last challenge, as RFC 4954 has
// it.
func (t *talk) scram(initial string) (string, error) {
	server, err := scram.SHA256.NewServer(func(user string) (scram.StoredCredentials, error) {
		client, err := scram.SHA256.NewClient(user, t.peer.script.Users[user], "")
		if err != nil {
			return scram.StoredCredentials{}, err
		}
		return client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "salt of the peer", Iters: 4096})
	})
	if err != nil {
		return "", err
	}
	exchange := server.NewConversation()
	response := decode(initial)
	for !exchange.Done() {
		next, err := exchange.Step(response)
		if err != nil {
			return "", nil // a wrong password; the peer stays
		}
		if response, err = t.challenge(next); err != nil {
			return "", err
		}
	}
	if !exchange.Valid() {
		return "", nil
	}
	return exchange.Username(), nil
}
