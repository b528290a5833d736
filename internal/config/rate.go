package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// Rate is so many of something in a period, written as "1000/hour". The zero
// Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// SizeRate is so many octets in a period, written as "1GiB/day". The zero
// SizeRate is no limit.
type SizeRate struct {
	Size Size
	Per  time.Duration
}

const (
	wantRate     = "a rate such as 30/minute, 1000/hour or 5000/day"
	wantSizeRate = "a rate of octets such as 100MiB/hour or 1GiB/day"
)

var periods = []struct {
	name   string
	length time.Duration
}{{"second", time.Second}, {"minute", time.Minute}, {"hour", time.Hour}, {"day", day}}

// ParseRate reads a number, a slash, and second, minute, hour, day or a
// duration: "1000/hour", "50/10m".
func ParseRate(s string) (Rate, error) {
	number, period, _ := strings.Cut(s, "/")
	n, err := parseCount(number)
	per, ok := parsePeriod(period)
	if err != nil || !ok || n == 0 || n > math.MaxInt32 {
		return Rate{}, errors.New("not " + wantRate)
	}
	return Rate{Count: int(n), Per: per}, nil
}

// ParseSizeRate reads a size, a slash, and a period as ParseRate does.
func ParseSizeRate(s string) (SizeRate, error) {
	number, period, _ := strings.Cut(s, "/")
	size, err := ParseSize(number)
	per, ok := parsePeriod(period)
	if err != nil || !ok || size == 0 {
		return SizeRate{}, errors.New("not " + wantSizeRate)
	}
	return SizeRate{Size: size, Per: per}, nil
}

func parsePeriod(s string) (time.Duration, bool) {
	for _, p := range periods {
		if s == p.name {
			return p.length, true
		}
	}
	d, err := ParseDuration(s)
	return d, err == nil && d > 0
}

func formatPeriod(d time.Duration) string {
	for _, p := range periods {
		if d == p.length {
			return p.name
		}
	}
	return FormatDuration(d)
}

// IsZero reports whether r limits nothing.
func (r Rate) IsZero() bool { return r == Rate{} }

// String writes what ParseRate reads; nothing for no limit.
func (r Rate) String() string {
	if r.IsZero() {
		return ""
	}
	return strconv.Itoa(r.Count) + "/" + formatPeriod(r.Per)
}

// IsZero reports whether r limits nothing.
func (r SizeRate) IsZero() bool { return r == SizeRate{} }

// String writes what ParseSizeRate reads; nothing for no limit.
func (r SizeRate) String() string {
	if r.IsZero() {
		return ""
	}
	return r.Size.String() + "/" + formatPeriod(r.Per)
}
