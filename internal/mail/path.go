package mail

import "strings"

// Path is a reverse-path or forward-path (RFC 5321 4.1.2). The zero Path is the
// null reverse-path "<>", which notifications use.
type Path struct {
	Address
}

// ParsePath reads a path with its angle brackets. A source route
// ("<@a,@b:user@c>") is read and ignored (RFC 5321 appendix C). "<>" is the
// null path.
func ParsePath(s string) (Path, error) {
	inner, ok := strings.CutPrefix(s, "<")
	if !ok {
		return Path{}, ErrSyntax
	}
	if inner, ok = strings.CutSuffix(inner, ">"); !ok {
		return Path{}, ErrSyntax
	}
	if inner == "" {
		return Path{}, nil
	}
	if len(s) > MaxPath {
		return Path{}, ErrPathLength
	}
	if inner[0] == '@' {
		route, mailbox, found := strings.Cut(inner, ":")
		if !found {
			return Path{}, ErrSyntax
		}
		for _, hop := range strings.Split(route, ",") {
			name, ok := strings.CutPrefix(hop, "@")
			if !ok {
				return Path{}, ErrSyntax
			}
			if _, err := ParseDomain(name); err != nil {
				return Path{}, ErrBadDomain
			}
		}
		inner = mailbox
	}
	a, err := ParseAddress(inner)
	return Path{a}, err
}

// IsNull reports whether p is the null reverse-path.
func (p Path) IsNull() bool { return p.Address.IsZero() }

// String returns the path with its angle brackets.
func (p Path) String() string {
	if p.IsNull() {
		return "<>"
	}
	return "<" + p.Address.String() + ">"
}
