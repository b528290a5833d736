package config

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// scalar is a type that is written as a single value. It is the one place that
// knows how such a value is read, printed and described.
type scalar struct {
	// parse returns a value of the type; its error completes `"x" is ...`.
	parse func(text string) (reflect.Value, error)
	// print is the inverse of parse.
	print func(v reflect.Value) string
	// bare says that the value must be written without quotes.
	bare bool
	// schema is what JSON Schema says about it.
	schema map[string]any
}

var scalars = map[reflect.Type]scalar{
	typeOf[bool](): {bare: true,
		parse:  of(parseBool),
		print:  func(v reflect.Value) string { return strconv.FormatBool(v.Bool()) },
		schema: map[string]any{"type": "boolean"}},
	typeOf[int](): {bare: true,
		parse:  of(parseInt),
		print:  func(v reflect.Value) string { return strconv.FormatInt(v.Int(), 10) },
		schema: map[string]any{"type": "integer", "minimum": 0}},
	typeOf[uint16](): {bare: true,
		parse:  of(parsePort),
		print:  func(v reflect.Value) string { return strconv.FormatUint(v.Uint(), 10) },
		schema: map[string]any{"type": "integer", "minimum": 1, "maximum": 65535}},
	typeOf[string](): {
		parse:  of(func(s string) (string, error) { return s, nil }),
		print:  reflect.Value.String,
		schema: map[string]any{"type": "string"}},
	typeOf[Secret](): {
		parse:  of(parseSecret),
		print:  stringer,
		schema: map[string]any{"type": "string"}},
	typeOf[time.Duration](): {
		parse: of(ParseDuration),
		print: func(v reflect.Value) string { return FormatDuration(time.Duration(v.Int())) },
		schema: map[string]any{"anyOf": []any{
			map[string]any{"type": "string", "pattern": `^([0-9]+w)?([0-9]+d)?([0-9.]+(h|m|s|ms|us|µs|ns))*$`},
			map[string]any{"const": 0},
		}}},
	typeOf[Size](): {
		parse: of(ParseSize), print: stringer,
		schema: map[string]any{"anyOf": []any{
			map[string]any{"type": "string", "pattern": `^[0-9]+ *([kKmMgGtT][iI]?)?[bB]?$`},
			map[string]any{"type": "integer", "minimum": 0},
		}}},
	typeOf[Rate](): {
		parse: of(ParseRate), print: stringer,
		schema: map[string]any{"type": "string", "pattern": `^[0-9]+/[0-9a-z]+$`}},
	typeOf[SizeRate](): {
		parse: of(ParseSizeRate), print: stringer,
		schema: map[string]any{"type": "string", "pattern": `^[0-9]+ *[a-zA-Z]*/[0-9a-z]+$`}},
	typeOf[netip.Prefix](): {
		parse: of(parsePrefix), print: stringer,
		schema: map[string]any{"type": "string"}},
	typeOf[netip.AddrPort](): {
		parse: of(parseServer), print: stringer,
		schema: map[string]any{"type": "string"}},
	typeOf[mail.Address](): {
		parse: of(parseAddress), print: stringer,
		schema: map[string]any{"type": "string"}},
	typeOf[ListenerTLS]():  choice(TLSNone, TLSStartTLS, TLSRequired, TLSImplicit),
	typeOf[ListenerAuth](): choice(AuthRequired, AuthNone, AuthPeer),
	typeOf[BareNewlines](): choice(BareRefuse, BareNormalise),
	typeOf[Environment]():  choice(EnvironmentDeliver, EnvironmentAllowlist, EnvironmentRedirect, EnvironmentCapture),
	typeOf[RouteTLS]():     choice(RouteTLSNone, RouteTLSOpportunistic, RouteTLSRequire, RouteTLSVerify, RouteTLSDANE),
	typeOf[LogFormat]():    choice(LogJSON, LogText, LogPostfix),
	typeOf[LogLevel]():     choice(LogDebug, LogInfo, LogWarn, LogError),
}

func typeOf[T any]() reflect.Type { return reflect.TypeFor[T]() }

func of[T any](parse func(string) (T, error)) func(string) (reflect.Value, error) {
	return func(s string) (reflect.Value, error) {
		v, err := parse(s)
		return reflect.ValueOf(v), err
	}
}

func stringer(v reflect.Value) string { return v.Interface().(fmt.Stringer).String() }

// choice makes the scalar of a type with a fixed set of words.
func choice[T ~string](words ...T) scalar {
	list := make([]string, len(words))
	anyList := make([]any, len(words))
	for i, w := range words {
		list[i], anyList[i] = string(w), string(w)
	}
	return scalar{
		parse: of(func(s string) (T, error) {
			for _, w := range words {
				if s == string(w) {
					return w, nil
				}
			}
			return "", errors.New("not one of " + strings.Join(list, ", "))
		}),
		print:  reflect.Value.String,
		schema: map[string]any{"enum": anyList},
	}
}

func parseBool(s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, errors.New("not one of true, false")
	}
	return s == "true", nil
}

func parseInt(s string) (int, error) {
	n, err := parseCount(s)
	if err != nil || n > 1<<31-1 {
		return 0, errors.New("not a whole number from 0 to 2147483647")
	}
	return int(n), nil
}

func parsePort(s string) (uint16, error) {
	n, err := parseCount(s)
	if err != nil || n < 1 || n > 65535 {
		return 0, errors.New("not a port number from 1 to 65535")
	}
	return uint16(n), nil
}

// parsePrefix reads a network, or an address as a network of one.
func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errors.New("not a network such as 10.0.0.0/8 or 2001:db8::/32, or an address")
	}
	return p.Masked(), nil
}

// parseServer reads the address of a DNS server; the port may be left out.
func parseServer(s string) (netip.AddrPort, error) {
	bare := s
	if inner, ok := strings.CutPrefix(s, "["); ok && strings.HasSuffix(inner, "]") {
		bare = strings.TrimSuffix(inner, "]")
	}
	addr, err := netip.ParseAddr(bare)
	ap := netip.AddrPortFrom(addr, 53)
	if err != nil {
		ap, err = netip.ParseAddrPort(s)
	}
	if err != nil || ap.Port() == 0 || strings.ContainsAny(ap.Addr().Zone(), "[]%") {
		return netip.AddrPort{}, errors.New("not an address with a port such as 10.0.0.10:53 or [2001:db8::53]:53")
	}
	return ap, nil
}

func parseAddress(s string) (mail.Address, error) {
	a, err := mail.ParseAddress(s)
	if err != nil || a.Domain.IsZero() {
		return mail.Address{}, errors.New("not an address such as user@example.com")
	}
	return a, nil
}
