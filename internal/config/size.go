package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Size is a number of octets, written as "25MiB", "10GB" or a plain number.
type Size int64

const wantSize = "a size such as 25MiB, 10GB or a number of octets"

// sizeUnits in the order in which they are tried for printing.
var sizeUnits = []struct {
	name   string
	octets int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1},
}

// ParseSize reads what Size describes. Units are binary (KiB, MiB, GiB, TiB) or
// decimal (KB, MB, GB, TB), in either case.
func ParseSize(s string) (Size, error) {
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := s[len(digits):]
	n, err := parseCount(strings.TrimRight(digits, " "))
	if err != nil {
		return 0, errors.New("not " + wantSize)
	}
	if unit == "" {
		return Size(n), nil
	}
	for _, u := range sizeUnits {
		if strings.EqualFold(u.name, unit) {
			if n > math.MaxInt64/u.octets {
				return 0, errors.New("too large")
			}
			return Size(n * u.octets), nil
		}
	}
	return 0, errors.New("not " + wantSize)
}

// parseCount reads digits and nothing else.
func parseCount(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseInt(s, 10, 64)
}

// String writes the size in the largest unit that divides it, binary ones first.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if n := int64(s); n != 0 && n%u.octets == 0 && u.octets > 1 {
			return strconv.FormatInt(n/u.octets, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}
