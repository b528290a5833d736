package spool

import (
	"encoding/binary"
	"errors"
	"time"
)

// errValue is what every fault in a stored value amounts to: short of data,
// trailing data, or a number that can't be.
var errValue = errors.New("malformed value")

// appendString appends uvarint(length) and the octets of s.
func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendTime appends the Unix time in milliseconds as a varint; 0 is no time.
func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendVarint(b, t.UnixMilli())
}

// decoder reads what the functions above and encoding/binary append. After the
// first fault it returns zero values; end tells.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) fail() {
	d.b, d.bad = nil, true
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) octet() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

func (d *decoder) string() string { return string(d.bytes()) }

// number reads a uvarint of at most limit.
func (d *decoder) number(limit uint64) int {
	n := d.uvarint()
	if n > limit {
		d.fail()
		return 0
	}
	return int(n)
}

// count reads how many items follow. Each takes an octet at least, so that a
// damaged count can't ask for more memory than the value has octets.
func (d *decoder) count() int { return d.number(uint64(len(d.b))) }

func (d *decoder) time() time.Time {
	ms := d.varint()
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// end returns errValue unless everything was read and nothing was wrong.
func (d *decoder) end() error {
	if d.bad || len(d.b) > 0 {
		return errValue
	}
	return nil
}
