package mail

import (
	"errors"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// MaxDomain is the most octets a domain name may have. RFC 5321 4.5.3.1.2 says
// 255, but that is a name's length in DNS messages (RFC 1035 2.3.4), which leaves
// 253 for the text: a longer one can't be looked up.
const MaxDomain = 253

// maxUnicode bounds what is given to the conversion of U-labels, whose time
// grows with the square of the length. Four octets a code point is the most.
const maxUnicode = 4 * MaxDomain

// Domain is a domain name in lower-case A-labels without a trailing dot, or an
// address literal in brackets. The zero Domain means none. Domains are
// comparable and may be map keys.
type Domain struct {
	name string
}

var errDomain = errors.New("not a domain name")

// profile maps and checks as lookups do (RFC 5891 section 5), but leaves alone
// what plain ASCII names may hold in practice, such as underscores.
var profile = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(false))

// ParseDomain reads a domain name or an address literal ("[192.0.2.1]",
// "[IPv6:2001:db8::1]"), in A-labels or U-labels (RFC 5890), in any case.
func ParseDomain(s string) (Domain, error) {
	if len(s) > maxUnicode {
		return Domain{}, errDomain
	}
	if strings.HasPrefix(s, "[") {
		addr, ok := parseLiteral(s)
		if !ok {
			return Domain{}, errors.New("not an address literal")
		}
		return LiteralDomain(addr), nil
	}
	ascii := true
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	name := strings.ToLower(s)
	if !ascii {
		if !utf8.ValidString(s) {
			return Domain{}, errDomain
		}
		var err error
		if name, err = profile.ToASCII(s); err != nil {
			return Domain{}, errDomain
		}
	}
	if !validName(name) {
		return Domain{}, errDomain
	}
	return Domain{name}, nil
}

// MustParseDomain is ParseDomain for constants; it panics on a bad name.
func MustParseDomain(s string) Domain {
	d, err := ParseDomain(s)
	if err != nil {
		panic("mail: " + s + ": " + err.Error())
	}
	return d
}

// LiteralDomain returns the address literal that stands for addr.
func LiteralDomain(addr netip.Addr) Domain {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return Domain{"[" + addr.String() + "]"}
	}
	return Domain{"[IPv6:" + addr.String() + "]"}
}

// validName checks letters, digits, hyphens and underscores in labels of 1 to
// 63 octets (RFC 1035 2.3.4). Underscores are no host name characters, but
// exist in names that receive mail.
func validName(s string) bool {
	if s == "" || len(s) > MaxDomain {
		return false
	}
	label := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_':
			label++
		case c == '-':
			if label == 0 || i+1 == len(s) || s[i+1] == '.' {
				return false
			}
			label++
		case c == '.':
			if label == 0 || i+1 == len(s) {
				return false
			}
			label = 0
			continue
		default:
			return false
		}
		if label > 63 {
			return false
		}
	}
	return true
}

func parseLiteral(s string) (netip.Addr, bool) {
	inner, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return netip.Addr{}, false
	}
	const v6 = "IPv6:"
	if len(inner) > len(v6) && strings.EqualFold(inner[:len(v6)], v6) {
		addr, err := netip.ParseAddr(inner[len(v6):])
		return addr, err == nil && addr.Is6() && addr.Zone() == ""
	}
	addr, err := netip.ParseAddr(inner)
	return addr, err == nil && addr.Is4()
}

// String returns the A-label form, or the literal with its brackets.
func (d Domain) String() string { return d.name }

// Unicode returns the form people read: U-labels where there are any.
func (d Domain) Unicode() string {
	if !strings.Contains(d.name, "xn--") {
		return d.name
	}
	u, err := idna.Display.ToUnicode(d.name)
	if err != nil {
		return d.name
	}
	return u
}

// IsZero reports whether d is no domain at all.
func (d Domain) IsZero() bool { return d.name == "" }

// Literal returns the address d stands for, if d is an address literal.
func (d Domain) Literal() (netip.Addr, bool) {
	if !strings.HasPrefix(d.name, "[") {
		return netip.Addr{}, false
	}
	return parseLiteral(d.name)
}

// MarshalText writes the A-label form.
func (d Domain) MarshalText() ([]byte, error) { return []byte(d.name), nil }

// UnmarshalText reads what ParseDomain reads; an empty text is the zero Domain.
func (d *Domain) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*d = Domain{}
		return nil
	}
	*d, err = ParseDomain(string(b))
	return err
}
