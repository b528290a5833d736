package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/maphash"

	"github.com/postrider/postrider/internal/mail"
)

// places compares where deliveries stand with where their records say they do. The
// two are in different orders, and a look-up for each would read the whole disk at
// random: so both sides are added up as hashes, by groups of messages, and only
// the groups whose sums differ are looked up.
type places struct {
	seed   maphash.Seed
	wanted [placeGroups]uint64
	found  [placeGroups]uint64
}

// placeGroups is a power of two.
const placeGroups = 1 << 12

// group tells messages apart by octets of their ids that are random.
func (p *places) group(id mail.ID) int {
	return int(binary.BigEndian.Uint16(id[len(id)-2:])) % placeGroups
}

func (p *places) sum(key []byte) uint64 {
	if p.seed == (maphash.Seed{}) {
		p.seed = maphash.MakeSeed()
	}
	return maphash.Bytes(p.seed, key)
}

func (p *places) want(id mail.ID, key []byte) { p.wanted[p.group(id)] += p.sum(key) }
func (p *places) find(id mail.ID, key []byte) { p.found[p.group(id)] += p.sum(key) }

func (p *places) differ() bool          { return p.wanted != p.found }
func (p *places) doubt(id mail.ID) bool { return p.wanted[p.group(id)] != p.found[p.group(id)] }

// place notes where a delivery stands.
func (v *verifier) place(key []byte, _ func() ([]byte, error)) error {
	k, err := tailOf(key)
	if err != nil {
		v.fault(k.Message, fmt.Sprintf("key %x", key), "malformed")
		return nil
	}
	v.places.find(k.Message, key)
	return nil
}

// unplaced looks for the places of a message that is in doubt.
func (v *verifier) unplaced(key []byte, read func() ([]byte, error)) error {
	id, err := parseIDKey(key, tableMessage)
	if err != nil || !v.places.doubt(id) {
		return nil
	}
	value, err := read()
	if err != nil {
		return err
	}
	m, err := decodeMessage(value)
	if err != nil {
		return nil // reported before
	}
	ds, err := v.o.of(id, &m)
	if err != nil {
		return nil
	}
	for _, d := range ds {
		e := entryOf(d)
		if _, err := get(v.r, e.appendKey(nil, d.DeliveryKey)); err != nil {
			v.fault(id, fmt.Sprintf("delivery %d", d.Number), "no place as %s: %v", d.State, err)
		}
	}
	return nil
}

// misplaced checks that a delivery in doubt stands where its record says.
func (v *verifier) misplaced(key []byte, _ func() ([]byte, error)) error {
	k, err := tailOf(key)
	if err != nil || !v.places.doubt(k.Message) {
		return nil
	}
	where := fmt.Sprintf("place of delivery %d in table %02x", k.Number, key[0])
	d, err := readDelivery(v.r, k)
	if err != nil {
		v.fault(k.Message, where, "%v", err)
		return nil
	}
	e := entryOf(d)
	if !bytes.Equal(e.appendKey(nil, k), key) {
		v.fault(k.Message, where, "it belongs elsewhere")
	}
	return nil
}
