package mail

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Limits of RFC 5321 4.5.3.1, in octets. A path has two more for its brackets.
const (
	MaxLocal = 64
	MaxPath  = 256
)

// Address is a mailbox (RFC 5321 4.1.2): where mail goes, or where a bounce
// returns to.
type Address struct {
	// Local is the local part as it is meant: unquoted, its case kept.
	Local string
	// Domain is zero only for "postmaster" without a domain (RFC 5321 4.5.1).
	Domain Domain
}

// Errors of ParseAddress and ParsePath; they are shown to the client.
var (
	ErrSyntax      = errors.New("malformed address")
	ErrNoDomain    = errors.New("address needs a domain: user@domain")
	ErrLocalLength = errors.New("local part longer than 64 octets")
	ErrPathLength  = errors.New("path longer than 256 octets")
	ErrBadDomain   = errors.New("malformed domain in address")
)

// ParseAddress reads a mailbox without brackets: a dot-string or a quoted
// string, "@", a domain or an address literal. UTF-8 is accepted in both parts
// (RFC 6531); NeedsUTF8 tells whether it was there.
func ParseAddress(s string) (Address, error) {
	if len(s) > MaxPath-2 {
		return Address{}, ErrPathLength
	}
	local, rest, err := cutLocal(s)
	if err != nil {
		return Address{}, err
	}
	if len(local) > MaxLocal {
		return Address{}, ErrLocalLength
	}
	if rest == "" {
		if strings.EqualFold(local, "postmaster") {
			return Address{Local: local}, nil
		}
		return Address{}, ErrNoDomain
	}
	if rest[0] != '@' {
		return Address{}, ErrSyntax
	}
	d, err := ParseDomain(rest[1:])
	if err != nil {
		return Address{}, ErrBadDomain
	}
	a := Address{Local: local, Domain: d}
	// A-labels may be longer than the U-labels they came from, and what is
	// written must be readable again.
	if len(s)+len(d.name)-len(rest[1:]) > MaxPath-2 {
		return Address{}, ErrPathLength
	}
	return a, nil
}

// MustParseAddress is ParseAddress for constants; it panics on a bad address.
func MustParseAddress(s string) Address {
	a, err := ParseAddress(s)
	if err != nil {
		panic("mail: " + s + ": " + err.Error())
	}
	return a
}

// cutLocal splits the local part, unquoted, from what follows it.
func cutLocal(s string) (local, rest string, err error) {
	if strings.HasPrefix(s, `"`) {
		return cutQuoted(s)
	}
	end := strings.IndexByte(s, '@')
	if end < 0 {
		end = len(s)
	}
	local = s[:end]
	if !validDotString(local) {
		return "", "", ErrSyntax
	}
	return local, s[end:], nil
}

func cutQuoted(s string) (local, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '"':
			if local = b.String(); !utf8.ValidString(local) || hasC1(local) {
				return "", "", ErrSyntax
			}
			return local, s[i+1:], nil
		case c == '\\':
			if i++; i == len(s) || s[i] < ' ' || s[i] > '~' {
				return "", "", ErrSyntax
			}
			b.WriteByte(s[i])
		case c < ' ' || c == 0x7f:
			return "", "", ErrSyntax
		default:
			b.WriteByte(c)
		}
	}
	return "", "", ErrSyntax
}

// validDotString reports whether s may stand as a local part without quotes:
// atoms joined by single dots (RFC 5321 4.1.2, RFC 6531 3.3).
func validDotString(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || !utf8.ValidString(s) || hasC1(s) {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf, 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.':
			if s[i-1] == '.' {
				return false
			}
		case strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0:
		default:
			return false
		}
	}
	return true
}

// hasC1 reports whether s, which is UTF-8, holds a control character from U+0080 to
// U+009F. No mailbox has one (RFC 5198 section 2), and terminals obey them.
func hasC1(s string) bool {
	for i := range len(s) {
		if s[i] == 0xc2 && s[i+1] < 0xa0 {
			return true
		}
	}
	return false
}

// String returns the address as it stands in a path, quoted where it must be.
// It is empty for the zero Address.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	local := a.Local
	if !validDotString(local) {
		local = quote(local)
	}
	if a.Domain.IsZero() {
		return local
	}
	return local + "@" + a.Domain.name
}

func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// IsZero reports whether a is no address.
func (a Address) IsZero() bool { return a == Address{} }

// NeedsUTF8 reports whether a can travel only with SMTPUTF8 (RFC 6531): its
// local part is not ASCII. Domains never need it, they are A-labels.
func (a Address) NeedsUTF8() bool {
	for i := 0; i < len(a.Local); i++ {
		if a.Local[i] >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// MarshalText writes what String returns.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what ParseAddress reads; an empty text is the zero Address.
func (a *Address) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*a = Address{}
		return nil
	}
	*a, err = ParseAddress(string(b))
	return err
}
