package policy

import (
	"context"
	"errors"
	"fmt"
	"os/user"
	"strconv"
)

// System tells names for the numbers the kernel knows.
type System interface {
	// User returns the name of uid and the names of the groups it is in,
	// besides gid's own. The name is empty if uid has none.
	User(ctx context.Context, uid, gid int) (name string, groups []string, err error)
}

// hostSystem reads /etc/passwd and /etc/group.
type hostSystem struct{}

func (hostSystem) User(_ context.Context, uid, gid int) (string, []string, error) {
	u, err := user.LookupId(strconv.Itoa(uid))
	var unknown user.UnknownUserIdError
	if errors.As(err, &unknown) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("look up uid %d: %w", uid, err)
	}
	// The process may run with another group than its user's first one.
	ids, err := u.GroupIds()
	if err != nil {
		return "", nil, fmt.Errorf("look up groups of uid %d: %w", uid, err)
	}
	ids = append([]string{strconv.Itoa(gid)}, ids...)
	var groups []string
	seen := make(map[string]bool)
	for _, id := range ids {
		if g, err := user.LookupGroupId(id); err == nil && !seen[g.Name] {
			seen[g.Name] = true
			groups = append(groups, g.Name)
		}
	}
	return u.Username, groups, nil
}

// peer returns the name of a process's user. A uid without a name, as
// containers have them, becomes "uid:1000"; a users file can't hold such a name,
// so nobody can pass for it.
func (a *authenticator) peer(ctx context.Context, p *Peer) (name string, groups []string, err error) {
	name, groups, err = a.system.User(ctx, p.UID, p.GID)
	if err != nil {
		return "", nil, unavailable(err)
	}
	if name == "" {
		name = "uid:" + strconv.Itoa(p.UID)
	}
	return name, groups, nil
}
