package mail

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"
)

// ID names a message from the moment it is accepted until its history is
// forgotten. It is a ULID: IDs made later sort later, to the millisecond.
type ID [16]byte

// NewID makes an ID for a message that arrives at t. It is safe for concurrent
// use; the random part (80 bits) comes from the operating system.
//
// The library's own default is math/rand seeded with the time: two replicas may
// start with one seed, and a client could guess the next ID from its own.
func NewID(t time.Time) ID {
	id := FirstID(t)
	rand.Read(id[6:]) // never fails (crypto/rand)
	return id
}

// FirstID returns the smallest ID of a message that arrives at t, a bound for
// scans in order of arrival.
func FirstID(t time.Time) ID {
	var u ulid.ULID
	_ = u.SetTime(ulid.Timestamp(t)) // fails after the year 10889 only
	return ID(u)
}

// ParseID reads the 26 characters that String writes, in either case.
func ParseID(s string) (ID, error) {
	u, err := ulid.ParseStrict(s)
	if err != nil {
		return ID{}, fmt.Errorf("%.40q is not a queue id (26 letters and digits)", s)
	}
	return ID(u), nil
}

// String returns the 26 characters users see.
func (id ID) String() string { return ulid.ULID(id).String() }

// Time returns the time of arrival the ID was made with, to the millisecond.
func (id ID) Time() time.Time { return ulid.Time(ulid.ULID(id).Time()) }

// IsZero reports whether id names no message.
func (id ID) IsZero() bool { return id == ID{} }

// Compare orders IDs by arrival: negative, zero or positive.
func (id ID) Compare(other ID) int { return ulid.ULID(id).Compare(ulid.ULID(other)) }

// MarshalText makes IDs readable in JSON.
func (id ID) MarshalText() ([]byte, error) { return ulid.ULID(id).MarshalText() }

// UnmarshalText is the inverse of MarshalText.
func (id *ID) UnmarshalText(b []byte) error {
	v, err := ParseID(string(b))
	if err != nil {
		return err
	}
	*id = v
	return nil
}

// Next returns the ID that sorts directly after id, where a scan goes on.
func (id ID) Next() ID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]++; id[i] != 0 {
			break
		}
	}
	return id
}
