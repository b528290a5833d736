package policy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/emersion/go-sasl"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// SASL mechanisms, by their names in EHLO, and the two ways into an Identity
// that need no SASL.
const (
	MechanismPlain     = "PLAIN"
	MechanismLogin     = "LOGIN"
	MechanismScram     = "SCRAM-SHA-256"
	MechanismScramPlus = "SCRAM-SHA-256-PLUS"
	MechanismExternal  = "EXTERNAL"
	MechanismPeer      = "peer"
	MechanismNone      = "none"
)

// AuthOptions are what an authenticator is made from.
type AuthOptions struct {
	// Auth is the configuration: groups, certificates, and the users file if
	// Directory is nil.
	Auth config.Auth
	// Directory knows the users. If it is nil and Auth names no users file
	// either, nobody has a password.
	Directory Directory
	// Passwords is carried from one authenticator to the next over reloads, so
	// that what was verified stays so. Nil makes a new one.
	Passwords *Passwords
	// DecoyKey is what the salts of users who don't exist are made with. It must
	// stay the same over restarts, and on all replicas: a salt that changes is
	// nobody's. Nil makes one that is forgotten with the process.
	DecoyKey []byte
	// Warn, if not nil, is told what is wrong with the users file without making
	// it unusable.
	Warn func(message string)
	// System looks up users and groups of this system; nil reads its database.
	System System
}

// NewAuthenticator returns the authenticator of a configuration. It fails if
// the users file can't be read.
func NewAuthenticator(o AuthOptions) (Authenticator, error) {
	if o.DecoyKey == nil {
		o.DecoyKey = processKey
	}
	if o.Directory == nil && o.Auth.UsersFile != "" {
		users, err := LoadUsers(o.Auth.UsersFile)
		if err != nil {
			return nil, err
		}
		users.decoyKey = o.DecoyKey
		o.Directory = users
		if o.Warn != nil {
			for _, w := range users.Warnings() {
				o.Warn(w)
			}
		}
	}
	if o.Directory == nil {
		o.Directory = new(Users)
	}
	if o.Passwords == nil {
		o.Passwords = NewPasswords()
	}
	if o.System == nil {
		o.System = hostSystem{}
	}
	a := &authenticator{
		directory: o.Directory,
		passwords: o.Passwords,
		decoyKey:  o.DecoyKey,
		system:    o.System,
		groups:    make(map[string][]string),
	}
	for i, c := range o.Auth.Certificates {
		if c.Subject == "" {
			return nil, fmt.Errorf("auth.certificates[%d]: no subject; expected a DNS name, an e-mail address, a URI or a common name", i)
		}
		a.certificates = append(a.certificates, c)
	}
	for group, members := range o.Auth.Groups {
		for _, m := range members {
			a.groups[m] = append(a.groups[m], group)
		}
	}
	for _, groups := range a.groups {
		slices.Sort(groups)
	}
	return a, nil
}

type authenticator struct {
	directory    Directory
	passwords    *Passwords
	decoyKey     []byte
	system       System
	certificates []config.CertificateIdentity
	groups       map[string][]string // user to groups, sorted
}

// Mechanisms lists what may succeed. SCRAM is offered only when every user has
// a verifier for it: a client picks the strongest mechanism it is offered, and
// doesn't try another for a user who lacks it.
func (a *authenticator) Mechanisms(c *Client, plaintext bool) []string {
	var list []string
	if c.Peer != nil || a.certified(c.TLS) {
		list = append(list, MechanismExternal)
	}
	if !plaintext {
		return list
	}
	if _, all := a.directory.Scram(); all {
		if c.bindable() {
			list = append(list, MechanismScramPlus)
		}
		list = append(list, MechanismScram)
	}
	return append(list, MechanismPlain, MechanismLogin)
}

// certified reports whether the client showed a certificate that means somebody.
func (a *authenticator) certified(state *tls.ConnectionState) bool {
	_, err := a.certificateIdentity(state)
	return err == nil
}

// Start begins an exchange by the mechanism of that name, in upper case.
func (a *authenticator) Start(ctx context.Context, c *Client, mechanism string, done func(Login)) (sasl.Server, error) {
	x := exchange{ctx: ctx, auth: a, client: c, mechanism: mechanism, succeeded: done}
	switch mechanism {
	case MechanismPlain:
		return &plainServer{exchange: x}, nil
	case MechanismLogin:
		return &loginServer{exchange: x}, nil
	case MechanismExternal:
		return &externalServer{exchange: x}, nil
	case MechanismScram, MechanismScramPlus:
		if some, _ := a.directory.Scram(); some {
			return &scramServer{exchange: x}, nil
		}
	}
	return nil, mail.Errorf(504, mail.EnhancedCode{5, 5, 4}, "mechanism not supported")
}

// exchange is what all mechanisms have in common.
type exchange struct {
	ctx       context.Context
	auth      *authenticator
	client    *Client
	mechanism string
	succeeded func(Login)
	// credentials are the named user's; nil while there is none.
	credentials *Credentials
	asked       bool // for what the client may have said unasked
	over        bool
}

// open asks a client that must speak first and has not: with a challenge of
// nothing, once (RFC 4954 section 4). It returns nil if there is a response to
// look at.
func (x *exchange) open(response []byte) (challenge []byte, err error) {
	switch {
	case x.over:
		return nil, errOver()
	case response == nil && !x.asked:
		x.asked = true
		return []byte{}, nil
	}
	return nil, nil
}

// password checks a name and a password that came in clear and ends the
// exchange.
func (x *exchange) password(authzid, name, password string) error {
	if err := checkAuthzid(authzid, name); err != nil {
		return err
	}
	credentials, err := x.auth.directory.Lookup(x.ctx, name)
	if err != nil {
		return unavailable(fmt.Errorf("look up user %.64q: %w", name, err))
	}
	x.credentials = credentials
	known := credentials != nil
	if !known {
		credentials = x.auth.directory.Decoy(name)
	}
	ok, err := x.auth.passwords.Verify(x.ctx, x.client.Remote, name, password, credentials.Password)
	switch {
	case err != nil:
		return unavailable(err)
	case !known:
		return refused(fmt.Errorf("no user %.64q", name))
	case !ok:
		return refused(fmt.Errorf("wrong password for user %.64q", name))
	}
	x.succeed(name)
	return nil
}

func (x *exchange) succeed(name string, groups ...string) {
	x.succeeded(Login{x.auth.identity(name, x.mechanism, groups), x.credentials})
}

// identity makes an Identity; groups are those the back end knows besides the
// configured ones.
func (a *authenticator) identity(name, mechanism string, groups []string) mail.Identity {
	id := mail.Identity{Name: name, Groups: a.groups[name], Mechanism: mechanism}
	if len(groups) > 0 {
		id.Groups = slices.Concat(id.Groups, groups)
	}
	return id
}

// checkAuthzid refuses to act as somebody else: an authorization identity may
// be left out or be the user's own name (RFC 4422 section 3.4.1).
func checkAuthzid(authzid, name string) error {
	if authzid != "" && authzid != name {
		return refused(fmt.Errorf("user %.64q asked to act as %.64q", name, authzid))
	}
	return nil
}

// Replies of a failed exchange (RFC 4954 sections 4 and 6).

func refused(cause error) error {
	return mail.Errorf(535, mail.EnhancedCode{5, 7, 8}, "authentication failed").Because(cause)
}

func unavailable(cause error) error {
	return mail.Errorf(454, mail.EnhancedCode{4, 7, 0}, "authentication is temporarily unavailable, try again later").Because(cause)
}

func malformed(cause string) error {
	return mail.Errorf(501, mail.EnhancedCode{5, 5, 2}, "malformed authentication response").Because(errors.New(cause))
}

// errOver is for a client that goes on after the end; the session never lets it.
func errOver() error { return malformed("a response after the end of the exchange") }
