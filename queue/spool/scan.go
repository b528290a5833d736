package spool

import (
	"bytes"
	"errors"
	"math/big"

	"github.com/cockroachdb/pebble/v2"
)

// stretch is a part of the keys, from inclusive, to exclusive, in which not all can
// be read.
type stretch struct {
	from, to []byte
	err      error
}

// scanOn calls fn at each key from from on, before to, and goes on behind what can't
// be read: where the iterator fails, or fn returns damage of the key's value. It
// returns the stretches that it left out. fn must not return damage of other keys.
func scanOn(r pebble.Reader, from, to []byte, fn func(it *pebble.Iterator) error) (lost []stretch, err error) {
	for !bytes.Equal(from, to) {
		last, whole := []byte(nil), true // the last key, and whether its value was read
		err := scanKeys(r, from, to, func(it *pebble.Iterator) error {
			last, whole = append(last[:0], it.Key()...), false
			err := fn(it)
			whole = err == nil
			return err
		})
		if err == nil || !isDamage(err) {
			return lost, err
		}
		gap := stretch{from: from, err: err}
		next := from
		if last != nil {
			next = append(bytes.Clone(last), 0)
			if gap.from = last; whole {
				gap.from = next
			}
		}
		gap.to = readableFrom(r, next, to)
		lost = append(lost, gap)
		from = gap.to
	}
	return lost, nil
}

// scanTable is scanOn for the keys that begin with an octet.
func scanTable(r pebble.Reader, table byte, fn func(it *pebble.Iterator) error) (lost []stretch, err error) {
	return scanOn(r, []byte{table}, []byte{table + 1}, fn)
}

func scanKeys(r pebble.Reader, from, to []byte, fn func(*pebble.Iterator) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		err = fn(it)
	}
	if errors.Is(err, errStop) {
		return it.Close()
	}
	if err == nil {
		err = it.Error()
	}
	if closing := it.Close(); err == nil {
		err = closing
	}
	return err
}

// fineness is how many octets of a key are looked at when the end of a stretch is
// looked for: the table and the milliseconds of an id. A read that fails takes a
// tenth of a second, since Pebble looks for the bit that flipped. What is left out
// too much is found again by its id.
const fineness = 7

// readableFrom returns where from from on reading works again, to if it doesn't
// before. Which keys lie in a block that can't be read is written nowhere else, so
// the end is searched by halves.
func readableFrom(r pebble.Reader, from, to []byte) []byte {
	works := func(key []byte) bool {
		it, err := r.NewIter(&pebble.IterOptions{LowerBound: key, UpperBound: to})
		if err != nil {
			return false
		}
		it.First()
		return it.Close() == nil
	}
	if works(from) {
		return from
	}
	number := func(key []byte) *big.Int {
		padded := make([]byte, fineness)
		copy(padded, key)
		return new(big.Int).SetBytes(padded)
	}
	// Reading fails from low on, and works from high on.
	low, end, one := number(from), number(to), big.NewInt(1)
	high := new(big.Int).Set(end)
	for new(big.Int).Sub(high, low).Cmp(one) > 0 {
		middle := new(big.Int).Add(low, high)
		middle.Rsh(middle, 1)
		if works(middle.FillBytes(make([]byte, fineness))) {
			high = middle
		} else {
			low = middle
		}
	}
	if next := high.FillBytes(make([]byte, fineness)); high.Cmp(end) < 0 && bytes.Compare(next, to) < 0 {
		return next
	}
	return to
}
