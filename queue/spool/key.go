package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// Keys, format version 1. The first octet names the table:
//
//	00                                 format version: uvarint
//	00 01                              there while tables 04 to 06 are made anew; no value
//	00 02                              there from then on until content files that no
//	                                   message names were kept aside; no value
//	01 id                              message record (value.go), written once
//	02 id                              content of at most 64 KiB as it is, written once
//	03 id number                       delivery record (value.go)
//	04 lane due id number              schedule; no value
//	05 state id number                 Held, Captured and Dead deliveries; no value
//	06 text(destination) state         counters (totals.go), merged
//	07 id                              content that lies in a file: its size and sum (value.go)
//	08 name                            Meta value as it is
//	09 key                             what was stored under key and can't be read,
//	                                   until Forget
//
// id is the 16 octets of the ULID, so that messages lie in order of arrival.
// number is 4 octets, big-endian. state is the octet of queue.State. due is the
// Unix time in milliseconds as 8 octets, big-endian, with the sign bit inverted,
// so that earlier sorts first. lane is text(destination) text(identity) class,
// class being the octet of queue.Class, and text(sender) in ClassRefused. text(s)
// is s with each 00 written as 00 ff, then 00 01: it sorts as s does, and none is
// the beginning of another.
const (
	tableFormat   = 0x00
	tableMessage  = 0x01
	tableContent  = 0x02
	tableDelivery = 0x03
	tableSchedule = 0x04
	tableState    = 0x05
	tableTotals   = 0x06
	tableFile     = 0x07
	tableMeta     = 0x08
	tableDamaged  = 0x09
)

// tableNames are what people read.
var tableNames = map[byte]string{
	tableFormat: "format version", tableMessage: "message record", tableContent: "content",
	tableDelivery: "delivery record", tableSchedule: "schedule", tableState: "index of states",
	tableTotals: "counters", tableFile: "file record", tableMeta: "settings", tableDamaged: "what was moved aside",
}

const formatVersion = 1

// rebuildingKey is there while rebuild is at work.
var rebuildingKey = []byte{tableFormat, 0x01}

// orphansKey is there while content files that no message names may be all that is
// left of one.
var orphansKey = []byte{tableFormat, 0x02}

var errKey = errors.New("malformed key")

func appendIDKey(b []byte, table byte, id mail.ID) []byte {
	return append(append(b, table), id[:]...)
}

func appendDeliveryKey(b []byte, k queue.DeliveryKey) []byte {
	return binary.BigEndian.AppendUint32(appendIDKey(b, tableDelivery, k.Message), k.Number)
}

func appendStateKey(b []byte, s queue.State, k queue.DeliveryKey) []byte {
	b = append(b, tableState, byte(s))
	b = append(b, k.Message[:]...)
	return binary.BigEndian.AppendUint32(b, k.Number)
}

func appendTotalsKey(b []byte, d queue.Destination, s queue.State) []byte {
	return append(appendDestination(append(b, tableTotals), d), byte(s))
}

func appendMetaKey(b []byte, name string) []byte {
	return append(append(b, tableMeta), name...)
}

func appendDamagedKey(b, key []byte) []byte {
	return append(append(b, tableDamaged), key...)
}

// appendLane appends the part of a schedule key that its lane's entries share.
func appendLane(b []byte, l queue.Lane) []byte {
	b = appendDestination(append(b, tableSchedule), l.Destination)
	b = append(appendText(b, l.Identity), byte(l.Class))
	if l.Class == queue.ClassRefused {
		b = appendText(b, l.Sender)
	}
	return b
}

// appendPlace appends what follows the lane in a schedule key.
func appendPlace(b []byte, due time.Time, k queue.DeliveryKey) []byte {
	b = appendDue(b, due)
	b = append(b, k.Message[:]...)
	return binary.BigEndian.AppendUint32(b, k.Number)
}

func appendDue(b []byte, due time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(due.UnixMilli())^1<<63)
}

// appendDestination appends text(d.String()) without making the string.
func appendDestination(b []byte, d queue.Destination) []byte {
	b = escape(b, d.Route)
	if !d.Domain.IsZero() {
		b = escape(append(b, '/'), d.Domain.String())
	}
	return append(b, 0x00, 0x01)
}

func appendText(b []byte, s string) []byte {
	return append(escape(b, s), 0x00, 0x01)
}

func escape(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, s[i])
		if s[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return b
}

// cutText reads what appendText wrote and returns what follows it.
func cutText(b []byte) (s string, rest []byte, err error) {
	end := bytes.IndexByte(b, 0)
	if end >= 0 && end+1 < len(b) && b[end+1] == 0x01 {
		return string(b[:end]), b[end+2:], nil
	}
	var out []byte
	for i := 0; i+1 < len(b); i++ {
		if b[i] != 0 {
			out = append(out, b[i])
			continue
		}
		i++
		switch b[i] {
		case 0x01:
			return string(out), b[i+1:], nil
		case 0xff:
			out = append(out, 0)
		default:
			return "", nil, errKey
		}
	}
	return "", nil, errKey
}

func cutDestination(b []byte) (d queue.Destination, rest []byte, err error) {
	name, rest, err := cutText(b)
	if err != nil {
		return d, nil, err
	}
	if d, err = queue.ParseDestination(name); err != nil {
		return d, nil, fmt.Errorf("%w: destination %q", errKey, name)
	}
	return d, rest, nil
}

const placeLen = 8 + len(mail.ID{}) + 4

// parseScheduleKey is the inverse of appendLane and appendPlace. prefix is the
// length of the lane's part.
func parseScheduleKey(b []byte) (l queue.Lane, p queue.Place, prefix int, err error) {
	if len(b) == 0 || b[0] != tableSchedule {
		return l, p, 0, errKey
	}
	l.Destination, b, err = cutDestination(b[1:])
	if err != nil {
		return l, p, 0, err
	}
	if l.Identity, b, err = cutText(b); err != nil {
		return l, p, 0, err
	}
	if len(b) == 0 {
		return l, p, 0, errKey
	}
	l.Class, b = queue.Class(b[0]), b[1:]
	if l.Class == queue.ClassRefused {
		if l.Sender, b, err = cutText(b); err != nil {
			return l, p, 0, err
		}
	}
	p, err = parsePlace(b)
	prefix = len(appendLane(nil, l))
	return l, p, prefix, err
}

func parsePlace(b []byte) (p queue.Place, err error) {
	if len(b) != placeLen {
		return p, errKey
	}
	p.Due = time.UnixMilli(int64(binary.BigEndian.Uint64(b) ^ 1<<63)).UTC()
	p.DeliveryKey, err = parseDeliveryTail(b[8:])
	return p, err
}

// parseDeliveryTail reads id and number at the end of a key.
func parseDeliveryTail(b []byte) (k queue.DeliveryKey, err error) {
	if len(b) != len(k.Message)+4 {
		return k, errKey
	}
	copy(k.Message[:], b)
	k.Number = binary.BigEndian.Uint32(b[len(k.Message):])
	return k, nil
}

func parseIDKey(b []byte, table byte) (id mail.ID, err error) {
	if len(b) != 1+len(id) || b[0] != table {
		return id, errKey
	}
	copy(id[:], b[1:])
	return id, nil
}

func parseTotalsKey(b []byte) (d queue.Destination, s queue.State, err error) {
	if len(b) == 0 || b[0] != tableTotals {
		return d, 0, errKey
	}
	d, b, err = cutDestination(b[1:])
	if err == nil && len(b) != 1 {
		err = errKey
	}
	if err != nil {
		return d, 0, err
	}
	return d, queue.State(b[0]), nil
}

// upperBound returns the smallest key that is greater than all that begin with
// prefix; nil if there is none.
func upperBound(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
