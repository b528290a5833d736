package spool

import (
	"encoding/binary"
	"math"
	"net/netip"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// Values, format version 1. uvarint and varint are those of encoding/binary,
// string is uvarint(length) and octets, time is a varint of Unix milliseconds
// with 0 for no time. Pebble has a checksum on every block of its log and
// tables, so records carry none of their own; content files have one, since
// nothing else watches over them.
//
// Message record (table 01):
//
//	01                      version of this record
//	uvarint                 size of the content in octets; over 64 KiB: in a file
//	uvarint                 number of deliveries at the beginning
//	uvarint string          if that is 1: the number of the delivery, and its
//	                        record. It holds until table 03 has another.
//	envelope                see appendEnvelope
//
// A message with one delivery, nearly every one, is thus a record, its content
// and a place in the schedule, each written once.
//
// File record (table 07):
//
//	uvarint                 size in octets
//	4 octets                CRC-32C of the content, big-endian
const recordVersion = 1

// smallContent is the largest content that lies in the engine, in octets. It is
// part of the format.
const smallContent = 64 << 10

// messageRecord is a message record without its envelope.
type messageRecord struct {
	size       int64
	deliveries int
	// number and delivery are those of the only delivery; delivery is encoded.
	number   uint32
	delivery []byte
	envelope []byte
}

func (m *messageRecord) inFile() bool { return m.size > smallContent }

// appendMessage appends a message record. scratch is overwritten.
func appendMessage(b, scratch []byte, e *mail.Envelope, ds []*queue.Delivery, size int64) (record, used []byte) {
	b = append(b, recordVersion)
	b = binary.AppendUvarint(b, uint64(size))
	b = binary.AppendUvarint(b, uint64(len(ds)))
	if len(ds) == 1 {
		b = binary.AppendUvarint(b, uint64(ds[0].Number))
		scratch = appendDelivery(scratch[:0], ds[0])
		b = binary.AppendUvarint(b, uint64(len(scratch)))
		b = append(b, scratch...)
	}
	return appendEnvelope(b, e), scratch
}

// decodeMessage reads a message record; the parts it returns share its memory.
func decodeMessage(b []byte) (m messageRecord, err error) {
	d := decoder{b: b}
	if d.octet() != recordVersion {
		return m, errValue
	}
	m.size = int64(d.number(math.MaxInt64))
	m.deliveries = d.number(math.MaxInt32)
	if m.deliveries == 1 {
		m.number = uint32(d.number(math.MaxUint32))
		m.delivery = d.bytes()
	}
	if d.bad || m.deliveries == 0 {
		return m, errValue
	}
	m.envelope = d.b
	return m, nil
}

// Flags of an envelope.
const (
	flagSMTPUTF8 = 1 << iota
	flagRequireTLS
	flagEightBit
)

// appendEnvelope appends all of e but its ID:
//
//	octet                   flags: 1 SMTPUTF8, 2 RequireTLS, 4 EightBit
//	octet octet             Body, Return
//	time                    Arrival
//	uvarint                 Size
//	address                 From: string local part, string domain
//	string string string    EnvelopeID, Reports, MessageID
//	identity                strings Name, Mechanism, Listener, Remote, Helo, TLS;
//	                        uvarint number of groups, a string each
//	uvarint                 number of recipients; for each: address, octet Notify,
//	                        string OriginalType, string Original
func appendEnvelope(b []byte, e *mail.Envelope) []byte {
	var flags byte
	if e.SMTPUTF8 {
		flags |= flagSMTPUTF8
	}
	if e.RequireTLS {
		flags |= flagRequireTLS
	}
	if e.EightBit {
		flags |= flagEightBit
	}
	b = append(b, flags, byte(e.Body), byte(e.Return))
	b = appendTime(b, e.Arrival)
	b = binary.AppendUvarint(b, uint64(e.Size))
	b = appendAddress(b, e.From.Address)
	b = appendString(b, e.EnvelopeID)
	b = appendString(b, e.Reports)
	b = appendString(b, e.MessageID)
	b = appendIdentity(b, &e.Identity)
	b = binary.AppendUvarint(b, uint64(len(e.Recipients)))
	for i := range e.Recipients {
		r := &e.Recipients[i]
		b = appendAddress(b, r.Address)
		b = append(b, byte(r.Notify))
		b = appendString(b, r.OriginalType)
		b = appendString(b, r.Original)
	}
	return b
}

func appendAddress(b []byte, a mail.Address) []byte {
	return appendString(appendString(b, a.Local), a.Domain.String())
}

func appendIdentity(b []byte, id *mail.Identity) []byte {
	b = appendString(b, id.Name)
	b = appendString(b, id.Mechanism)
	b = appendString(b, id.Listener)
	if id.Remote.IsValid() {
		n := len(b)
		b = append(b, 0) // an address with its port has fewer than 128 octets
		b = id.Remote.AppendTo(b)
		b[n] = byte(len(b) - n - 1)
	} else {
		b = append(b, 0)
	}
	b = appendString(b, id.Helo)
	b = appendString(b, id.TLS)
	b = binary.AppendUvarint(b, uint64(len(id.Groups)))
	for _, g := range id.Groups {
		b = appendString(b, g)
	}
	return b
}

func decodeEnvelope(b []byte, id mail.ID) (*mail.Envelope, error) {
	d := decoder{b: b}
	flags := d.octet()
	e := &mail.Envelope{
		ID:         id,
		SMTPUTF8:   flags&flagSMTPUTF8 != 0,
		RequireTLS: flags&flagRequireTLS != 0,
		EightBit:   flags&flagEightBit != 0,
		Body:       mail.Body(d.octet()),
		Return:     mail.Return(d.octet()),
		Arrival:    d.time(),
		Size:       int64(d.number(math.MaxInt64)),
		From:       mail.Path{Address: d.address()},
		EnvelopeID: d.string(),
		Reports:    d.string(),
		MessageID:  d.string(),
		Identity:   d.identity(),
	}
	e.Recipients = make([]mail.Recipient, d.count())
	for i := range e.Recipients {
		e.Recipients[i] = mail.Recipient{
			Address:      d.address(),
			Notify:       mail.Notify(d.octet()),
			OriginalType: d.string(),
			Original:     d.string(),
		}
	}
	return e, d.end()
}

func (d *decoder) address() mail.Address {
	return mail.Address{Local: d.string(), Domain: d.domain()}
}

func (d *decoder) domain() mail.Domain {
	name := d.string()
	if name == "" {
		return mail.Domain{}
	}
	domain, err := mail.ParseDomain(name)
	if err != nil {
		d.fail()
	}
	return domain
}

func (d *decoder) identity() mail.Identity {
	id := mail.Identity{Name: d.string(), Mechanism: d.string(), Listener: d.string()}
	if remote := d.string(); remote != "" {
		var err error
		if id.Remote, err = netip.ParseAddrPort(remote); err != nil {
			d.fail()
		}
	}
	id.Helo, id.TLS = d.string(), d.string()
	if n := d.count(); n > 0 {
		id.Groups = make([]string, n)
		for i := range id.Groups {
			id.Groups[i] = d.string()
		}
	}
	return id
}

// fileRecord says what a content file must hold.
type fileRecord struct {
	size int64
	sum  uint32 // CRC-32C
}

func (f fileRecord) append(b []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.AppendUvarint(b, uint64(f.size)), f.sum)
}

func decodeFile(b []byte) (f fileRecord, err error) {
	d := decoder{b: b}
	f.size = int64(d.number(math.MaxInt64))
	if d.bad || len(d.b) != 4 {
		return f, errValue
	}
	f.sum = binary.BigEndian.Uint32(d.b)
	return f, nil
}
