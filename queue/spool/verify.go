package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// Verify reads everything and calls report for each fault it finds. It changes
// nothing, sees the spool as it was when it began, and may run beside other
// calls. It keeps old data from being freed until it ends. Offline it is Open,
// Verify, Close.
func (s *Spool) Verify(ctx context.Context, report func(queue.Damage)) error {
	g, err := s.use()
	if err != nil {
		return err
	}
	defer s.mu.RUnlock()
	snapshot := g.db.NewSnapshot()
	defer snapshot.Close()
	v := &verifier{ctx: ctx, s: s, g: g, r: snapshot, report: report}
	for _, check := range []struct {
		table byte
		fn    func(key, value []byte) error
	}{
		{tableMessage, v.message},
		{tableContent, v.owned},
		{tableDelivery, v.delivery},
		{tableSchedule, v.place},
		{tableState, v.place},
		{tableFile, v.owned},
		{tableDamaged, v.aside},
	} {
		err := scan(snapshot, []byte{check.table}, func(key, value []byte) error {
			return errors.Join(ctx.Err(), check.fn(key, value))
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			v.report(queue.Damage{Where: fmt.Sprintf("table %02x", check.table), What: err.Error()})
		}
	}
	v.counters()
	return nil
}

// verifier is one run of Verify.
type verifier struct {
	ctx    context.Context
	s      *Spool
	g      *generation
	r      pebble.Reader
	report func(queue.Damage)
}

func (v *verifier) fault(id mail.ID, where, format string, args ...any) {
	v.report(queue.Damage{Message: id, Where: where, What: fmt.Sprintf(format, args...)})
}

// message checks a message with its content, its deliveries and their places.
func (v *verifier) message(key, value []byte) error {
	id, err := parseIDKey(key, tableMessage)
	if err != nil {
		v.fault(id, fmt.Sprintf("key %x", key), "not a key of messages")
		return nil
	}
	m, err := decodeMessage(value)
	if err != nil {
		v.fault(id, "message record", "%v", err)
		return nil
	}
	if _, err := decodeEnvelope(m.envelope, id); err != nil {
		v.fault(id, "envelope", "%v", err)
	}
	v.content(id, &m)
	ds, err := readDeliveries(v.r, id)
	if err != nil {
		v.fault(id, "deliveries", "%v", err)
		return nil
	}
	if len(ds) == 0 {
		v.fault(id, "deliveries", "none")
	}
	for _, d := range ds {
		e := entryOf(d)
		if _, err := get(v.r, e.appendKey(nil, d.DeliveryKey)); err != nil {
			v.fault(id, fmt.Sprintf("delivery %d", d.Number), "no place as %s: %v", d.State, err)
		}
	}
	return nil
}

func (v *verifier) content(id mail.ID, m *messageRecord) {
	if !m.inFile() {
		data, err := get(v.r, appendIDKey(nil, tableContent, id))
		switch {
		case err != nil:
			v.fault(id, "content", "%v", err)
		case int64(len(data)) != m.size:
			v.fault(id, "content", "%d octets instead of %d", len(data), m.size)
		}
		return
	}
	value, err := get(v.r, appendIDKey(nil, tableFile, id))
	if err != nil {
		v.fault(id, "file record", "%v", err)
		return
	}
	want, err := decodeFile(value)
	if err != nil || want.size != m.size {
		v.fault(id, "file record", "can't be right")
		return
	}
	if err := v.file(id, want); err != nil && v.exists(id) {
		v.fault(id, v.s.contentPath(id), "%v", err)
	}
}

// exists tells whether a message is still there now: its file may have gone
// with it since Verify began.
func (v *verifier) exists(id mail.ID) bool {
	_, err := get(v.g.db, appendIDKey(nil, tableMessage, id))
	return err == nil
}

// file reads a content file to its end.
func (v *verifier) file(id mail.ID, want fileRecord) error {
	file, err := v.s.fs.Open(v.s.contentPath(id))
	if isNotExist(err) {
		return errors.New("missing")
	}
	if err != nil {
		return err
	}
	defer file.Close()
	sum, size := newSum(), int64(0)
	buf := make([]byte, 256<<10)
	for v.ctx.Err() == nil {
		n, err := file.Read(buf)
		sum.Write(buf[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	switch {
	case v.ctx.Err() != nil:
		return nil
	case size != want.size:
		return fmt.Errorf("%d octets instead of %d", size, want.size)
	case sum.Sum32() != want.sum:
		return errors.New("its checksum is wrong")
	}
	return nil
}

// owned checks that what has the id of a message belongs to one.
func (v *verifier) owned(key, _ []byte) error {
	id, err := parseIDKey(key, key[0])
	if err != nil {
		v.fault(id, fmt.Sprintf("key %x", key), "malformed")
	} else if _, err := get(v.r, appendIDKey(nil, tableMessage, id)); err != nil {
		v.fault(id, fmt.Sprintf("table %02x", key[0]), "no such message: %v", err)
	}
	return nil
}

func (v *verifier) delivery(key, value []byte) error {
	k, err := parseDeliveryTail(key[1:])
	if err != nil {
		v.fault(k.Message, fmt.Sprintf("key %x", key), "malformed")
		return nil
	}
	where := fmt.Sprintf("delivery %d", k.Number)
	if _, err := decodeDelivery(value, k); err != nil {
		v.fault(k.Message, where, "%v", err)
	}
	if _, err := get(v.r, appendIDKey(nil, tableMessage, k.Message)); err != nil {
		v.fault(k.Message, where, "no such message: %v", err)
	}
	return nil
}

// place checks that a delivery stands where its record says.
func (v *verifier) place(key, _ []byte) error {
	k, err := tailOf(key)
	if err != nil {
		v.fault(k.Message, fmt.Sprintf("key %x", key), "malformed")
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

// aside reports what lies in the table of what was moved aside.
func (v *verifier) aside(key, _ []byte) error {
	var id mail.ID
	if len(key) >= 2+len(id) {
		copy(id[:], key[2:])
	}
	v.report(queue.Damage{
		Message: id, Where: fmt.Sprintf("key %x", key[1:]), What: "was moved aside earlier",
		MovedTo: fmt.Sprintf("table %02x", tableDamaged),
	})
	return nil
}

// counters compares the counters with what they count.
func (v *verifier) counters() {
	stored, _, err := loadCounts(v.r)
	if err != nil {
		v.fault(mail.ID{}, "counters", "%v", err)
		return
	}
	counted, err := recount(v.r, mail.ID{})
	if err != nil {
		v.fault(mail.ID{}, "counters", "%v", err)
		return
	}
	var have, want counts
	for k, c := range counted {
		s := stored[k]
		if s.deliveries != c.deliveries || s.recipients != c.recipients || s.bytes != c.bytes {
			v.fault(mail.ID{}, "counters", "%s %s: %+v stored, %+v counted", k.destination, k.state, s, c)
		}
		want.add(c)
	}
	for k, c := range stored {
		if counted[k].deliveries == 0 && c.deliveries != 0 {
			v.fault(mail.ID{}, "counters", "%s %s: %d deliveries stored, none counted", k.destination, k.state, c.deliveries)
		}
		have.add(c)
	}
	if have != want {
		v.fault(mail.ID{}, "counters", "%+v stored in all, %+v counted", have, want)
	}
}
