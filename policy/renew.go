package policy

import (
	"context"
	"fmt"

	"github.com/postrider/postrider/internal/mail"
)

// Login is a client that has proven who it is.
type Login struct {
	Identity mail.Identity
	// credentials are what a password was held against; nil where the proof
	// lies below SMTP, in a certificate or with the kernel.
	credentials *Credentials
}

// Renew returns who l is under a, which may know other users and groups than the
// authenticator that let l in.
func (a *authenticator) Renew(ctx context.Context, c *Client, l Login) (mail.Identity, error) {
	name := l.Identity.Name
	if l.credentials != nil {
		now, err := a.directory.Lookup(ctx, name)
		switch {
		case err != nil:
			return mail.Identity{}, unavailable(fmt.Errorf("look up user %.64q: %w", name, err))
		case now == nil:
			return mail.Identity{}, outdated(fmt.Errorf("user %.64q was removed", name))
		case now.text() != l.credentials.text():
			return mail.Identity{}, outdated(fmt.Errorf("user %.64q was given another password", name))
		}
		return a.identity(name, l.Identity.Mechanism, nil), nil
	}
	now, groups, err := a.external(ctx, c)
	switch {
	case err != nil && c.Peer != nil:
		return mail.Identity{}, err
	case now != name:
		return mail.Identity{}, outdated(fmt.Errorf("what made the client %.64q means %.64q now", name, now))
	}
	return a.identity(name, l.Identity.Mechanism, groups), nil
}

// outdated ends a session: the client is to log in anew.
func outdated(cause error) error {
	return mail.Errorf(421, mail.EnhancedCode{4, 3, 2}, "your login has changed, connect again").Because(cause)
}
