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
	for inner[0] == '@' {
		var err error
		if inner, err = cutHop(inner[1:]); err != nil {
			return Path{}, err
		}
	}
	a, err := ParseAddress(inner)
	if err != nil {
		return Path{}, err
	}
	return Path{a}, nil
}

// cutHop checks the domain of one hop of a source route and returns what stands
// behind it: the next hop with its "@", or the mailbox. Both are never empty.
func cutHop(s string) (rest string, err error) {
	end := strings.IndexAny(s, ",:")
	if strings.HasPrefix(s, "[") { // an IPv6 literal has colons of its own
		end = strings.IndexByte(s, ']') + 1
	}
	if end <= 0 || end+1 >= len(s) {
		return "", ErrSyntax
	}
	if _, err := ParseDomain(s[:end]); err != nil {
		return "", ErrBadDomain
	}
	rest = s[end+1:]
	if more := rest[0] == '@'; s[end] == ',' && more || s[end] == ':' && !more {
		return rest, nil
	}
	return "", ErrSyntax
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
