package submission

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/mail"
)

// Longest values of DSN parameters, in octets as sent (RFC 3461 4.4, 4.2).
const (
	maxEnvid = 100
	maxOrcpt = 500
)

// eachParam calls fn for each parameter "KEY" or "KEY=value" of MAIL or RCPT,
// with the keyword in capitals, until there is an error (RFC 5321 4.1.2).
func eachParam(s string, fn func(key, value string, has bool) *mail.Error) *mail.Error {
	var seen [8]string
	n := 0
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		var param string
		param, s, _ = strings.Cut(s, " ")
		key, value, has := strings.Cut(param, "=")
		key = strings.ToUpper(key)
		if !validKeyword(key) || has && value == "" || strings.IndexByte(value, '=') >= 0 {
			return badParam("Parameters are KEYWORD or KEYWORD=value")
		}
		for _, k := range seen[:n] {
			if k == key {
				return badParam(key + " was given twice")
			}
		}
		if n == len(seen) {
			return badParam("Too many parameters")
		}
		seen[n] = key
		n++
		if err := fn(key, value, has); err != nil {
			return err
		}
	}
	return nil
}

func validKeyword(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		alnum := 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !alnum && (c != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}

func badParam(text string) *mail.Error {
	return mail.Errorf(501, mail.EnhancedCode{5, 5, 4}, "%s", text)
}

func unknownParam(command, key string) *mail.Error {
	return mail.Errorf(555, mail.EnhancedCode{5, 5, 4}, "%s parameter %s is not known here", command, key)
}

func noValue(key string, has bool) *mail.Error {
	if has {
		return badParam(key + " takes no value")
	}
	return nil
}

// parseNotify reads NOTIFY (RFC 3461 4.1).
func parseNotify(s string) (mail.Notify, bool) {
	var set mail.Notify
	for word := range strings.SplitSeq(strings.ToUpper(s), ",") {
		var n mail.Notify
		switch word {
		case "NEVER":
			n = mail.NotifyNever
		case "SUCCESS":
			n = mail.NotifySuccess
		case "FAILURE":
			n = mail.NotifyFailure
		case "DELAY":
			n = mail.NotifyDelay
		}
		if n == 0 || set&n != 0 {
			return 0, false
		}
		set |= n
	}
	return set, set&mail.NotifyNever == 0 || set == mail.NotifyNever
}

// parseOriginal reads ORCPT (RFC 3461 4.2, RFC 6533 3).
func parseOriginal(s string) (kind, address string, ok bool) {
	if len(s) > maxOrcpt {
		return "", "", false
	}
	kind, encoded, found := strings.Cut(s, ";")
	if !found || !validKeyword(strings.ToUpper(kind)) {
		return "", "", false
	}
	kind = strings.ToLower(kind)
	if kind == "utf-8" {
		address, ok = decodeUnitext(encoded)
	} else {
		address, ok = mail.ParseXtext(encoded)
	}
	return kind, address, ok
}

// decodeUnitext decodes utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 3):
// UTF-8, with characters that may not stand there as "\x{HEX}".
func decodeUnitext(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		i += size
		switch {
		case r == utf8.RuneError && size == 1, r <= ' ', r == 0x7f, r == '+', r == '=':
			return "", false
		case r == '\\':
			hex, rest, found := strings.Cut(s[i:], "}")
			hex, opens := strings.CutPrefix(hex, "x{")
			v, err := strconv.ParseUint(hex, 16, 32)
			if !found || !opens || err != nil || v < ' ' || v == 0x7f || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
				return "", false
			}
			b.WriteRune(rune(v))
			i = len(s) - len(rest)
		default:
			b.WriteRune(r)
		}
	}
	return b.String(), s != ""
}
