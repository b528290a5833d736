package policy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a users file.
const (
	maxUsersFile = 16 << 20 // octets
	maxUserLine  = 4 << 10
	maxUserName  = 255
)

// Credentials are what a back end knows of a user.
type Credentials struct {
	// Password checks passwords that come in clear (PLAIN, LOGIN).
	Password Verifier
	// Scram is nil for a user who can't use SCRAM.
	Scram *ScramVerifier
}

// text returns the verifiers as they stand in a users file.
func (c *Credentials) text() string {
	if c.Scram == nil {
		return c.Password.String()
	}
	return c.Password.String() + " " + c.Scram.String()
}

// Directory is a back end that knows users by name.
type Directory interface {
	// Lookup returns what is known of name, or nil if there is no such user.
	// An error means that the back end can't say: nobody gets in.
	Lookup(ctx context.Context, name string) (*Credentials, error)

	// Decoy returns credentials as some user has them, always the same for the
	// same name, so that refusing an unknown name takes as long as refusing a
	// wrong password. What they verify is never used.
	Decoy(name string) *Credentials

	// Scram tells whether some users, and whether all users, can use SCRAM.
	Scram() (some, all bool)
}

// Users is a users file as it was read. It does not change.
//
// A line is "name:verifier", or "name:verifier verifier" where one of them is
// for SCRAM-SHA-256 and the other a bcrypt or argon2id hash for the rest. Empty
// lines, and lines that begin with "#", are comments. Names are taken octet for
// octet, case matters.
type Users struct {
	byName   map[string]*Credentials
	names    []string // as in the file
	decoyKey []byte   // processKey until somebody has a better one
	scram    int      // users with a SCRAM verifier
	warnings []string
}

// LoadUsers reads the users file at path. Errors name the file and the line,
// and hold nothing of what stands behind the name.
func LoadUsers(path string) (*Users, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("users file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("users file: %w", err)
	}
	u, err := readUsers(path, f)
	if err != nil {
		return nil, err
	}
	// Reading by the group is how a file of root's serves a daemon of another
	// user; anything wider is a mistake.
	if mode := info.Mode().Perm(); mode&0o026 != 0 {
		u.warnings = append(u.warnings, fmt.Sprintf("users file %s has mode %04o; expected 0600 or 0640", path, mode))
	}
	if some, all := u.Scram(); some && !all {
		u.warnings = append(u.warnings, fmt.Sprintf("users file %s has SCRAM verifiers for %d of %d users; SCRAM is offered once all have one", path, u.scram, len(u.names)))
	}
	return u, nil
}

// readUsers reads a users file; path is for messages.
func readUsers(path string, r io.Reader) (*Users, error) {
	u := &Users{byName: make(map[string]*Credentials), decoyKey: processKey}
	lines := make(map[string]int)
	limited := &io.LimitedReader{R: r, N: maxUsersFile}
	s := bufio.NewScanner(limited)
	s.Buffer(nil, maxUserLine)
	n := 0
	for s.Scan() {
		n++
		name, c, err := parseUserLine(s.Text())
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		if c == nil {
			continue
		}
		if first, ok := lines[name]; ok {
			return nil, fmt.Errorf("%s:%d: user %q is already on line %d", path, n, name, first)
		}
		lines[name] = n
		u.byName[name] = c
		u.names = append(u.names, name)
		if c.Scram != nil {
			u.scram++
		}
	}
	if err := s.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s:%d: line longer than %d octets", path, n+1, maxUserLine)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if limited.N == 0 {
		return nil, fmt.Errorf("%s: users file larger than %d octets", path, maxUsersFile)
	}
	return u, nil
}

// parseUserLine reads one line; credentials are nil for a comment.
func parseUserLine(line string) (name string, c *Credentials, err error) {
	line = strings.TrimSpace(strings.TrimPrefix(line, "\ufeff"))
	if line == "" || line[0] == '#' {
		return "", nil, nil
	}
	name, rest, ok := strings.Cut(line, ":")
	if !ok {
		return "", nil, errors.New("no colon; expected name:hash")
	}
	if err := checkUserName(name); err != nil {
		return "", nil, err
	}
	c = new(Credentials)
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return "", nil, fmt.Errorf("user %q has no hash; expected name:hash", name)
	}
	for _, field := range fields {
		v, err := parseVerifier(field)
		if err != nil {
			return "", nil, fmt.Errorf("user %q: %w", name, err)
		}
		if s, ok := v.(*ScramVerifier); ok && c.Scram == nil {
			c.Scram = s
		} else if !ok && c.Password == nil {
			c.Password = v
		} else {
			return "", nil, fmt.Errorf("user %q has two hashes of one kind; expected one, and one for SCRAM if need be", name)
		}
	}
	if c.Password == nil {
		c.Password = c.Scram
	}
	return name, c, nil
}

func checkUserName(name string) error {
	switch {
	case name == "":
		return errors.New("empty user name; expected name:hash")
	case len(name) > maxUserName:
		return fmt.Errorf("user name of %d octets; expected at most %d", len(name), maxUserName)
	case !utf8.ValidString(name), strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == ':' }):
		return fmt.Errorf("user name %q; expected UTF-8 without control characters and colons", name)
	case strings.TrimSpace(name) != name, name[0] == '#', strings.HasPrefix(name, "\ufeff"):
		return fmt.Errorf("user name %q; expected no space at its ends and no # in front", name)
	}
	return nil
}

// Lookup returns what the file says of name. It never fails.
func (u *Users) Lookup(_ context.Context, name string) (*Credentials, error) {
	return u.byName[name], nil
}

// Decoy returns the credentials of a user chosen by a keyed hash of name. In a
// file of mixed hashes an unknown name then costs what a known one may cost.
func (u *Users) Decoy(name string) *Credentials {
	if len(u.names) == 0 {
		return emptyDecoy
	}
	h := hmacSHA256(u.decoyKey, name)
	i := (uint64(h[0])<<24 | uint64(h[1])<<16 | uint64(h[2])<<8 | uint64(h[3])) % uint64(len(u.names))
	return u.byName[u.names[i]]
}

// emptyDecoy stands in while there are no users: a bcrypt hash of the cost
// AddUser uses, of nothing anybody knows.
var emptyDecoy = &Credentials{Password: bcryptVerifier("$2a$10$" + strings.Repeat("x", 22-1) + "e" + strings.Repeat("y", 31))}

// Scram tells whether some users, and whether all users, have a SCRAM verifier.
func (u *Users) Scram() (some, all bool) {
	return u.scram > 0, u.scram > 0 && u.scram == len(u.names)
}

// Names returns the names in the order of the file.
func (u *Users) Names() []string { return slices.Clone(u.names) }

// Warnings returns what is wrong with the file without making it unusable, for
// the log.
func (u *Users) Warnings() []string { return slices.Clone(u.warnings) }
