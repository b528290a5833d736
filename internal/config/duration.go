package config

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const (
	wantDuration = "a duration such as 30s, 5m, 4h or 5d"

	day  = 24 * time.Hour
	week = 7 * day
)

// ParseDuration reads what time.ParseDuration reads, without signs, and also days
// ("5d") and weeks ("1w"), the largest units first: "1d12h". A day has 24 hours.
func ParseDuration(s string) (time.Duration, error) {
	bad := errors.New("not " + wantDuration)
	if s == "0" {
		return 0, nil
	}
	if s == "" || s[0] == '-' || s[0] == '+' {
		return 0, bad
	}
	var long time.Duration
	rest := s
	for _, unit := range []struct {
		letter string
		length time.Duration
	}{{"w", week}, {"d", day}} {
		digits, after, found := strings.Cut(rest, unit.letter)
		if !found {
			continue
		}
		n, err := parseCount(digits)
		if err != nil {
			return 0, bad
		}
		if n > int64(100*365*day/unit.length) {
			return 0, errors.New("too long")
		}
		long += time.Duration(n) * unit.length
		rest = after
	}
	if rest == "" {
		return long, nil
	}
	short, err := time.ParseDuration(rest)
	if err != nil || short < 0 || rest[0] == '-' || rest[0] == '+' {
		return 0, bad
	}
	if long+short < 0 {
		return 0, errors.New("too long")
	}
	return long + short, nil
}

// FormatDuration writes d as people write it: "5d", "1h30m", "250ms".
func FormatDuration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	if days := d / day; days > 0 {
		b.WriteString(strconv.FormatInt(int64(days), 10) + "d")
		d %= day
	}
	if d == 0 {
		return b.String()
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	b.WriteString(s)
	return b.String()
}
