package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// Verify reads everything, once and in order, and calls report for each fault it
// finds, and progress, unless it is nil, with the octets of content that it has read
// and those there are. It changes nothing, sees the spool as it was when it began,
// and may run beside other calls. It keeps old data from being freed until it ends,
// and ends itself when the disk fails or the spool closes. Inspect does
// it offline.
func (s *Spool) Verify(ctx context.Context, report func(queue.Damage), progress func(done, total int64)) error {
	g, err := s.use()
	if err != nil {
		return err
	}
	defer s.mu.RUnlock()
	return s.verify(paced(s.going(ctx, g)), g, report, progress)
}

// workAtOnce is how long a verification beside a running queue works before it
// rests as long: mail that comes in meanwhile goes first.
const workAtOnce = 5 * time.Millisecond

// paced makes who asks going now and then rest.
func paced(going func() error) func() error {
	began := time.Now()
	return func() error {
		if worked := time.Since(began); worked >= workAtOnce {
			time.Sleep(worked)
			began = time.Now()
		}
		return going()
	}
}

func (s *Spool) verify(going func() error, g *generation, report func(queue.Damage), progress func(done, total int64)) error {
	snapshot := g.db.NewSnapshot()
	defer snapshot.Close()
	v := &verifier{
		going: going, s: s, g: g, r: snapshot, report: report, seen: make(map[string]bool),
		progress: progress, total: s.Used(), counted: make(map[counter]counts),
	}
	checks := []check{
		{tableMessage, v.message},
		{tableContent, v.owned},
		{tableDelivery, v.delivery},
		{tableSchedule, v.place},
		{tableState, v.place},
		{tableFile, v.owned},
		{tableDamaged, v.aside},
	}
	if err := v.pass(checks); err != nil {
		return err
	}
	if v.places.differ() {
		misplaced := []check{{tableMessage, v.unplaced}, {tableSchedule, v.misplaced}, {tableState, v.misplaced}}
		if err := v.pass(misplaced); err != nil {
			return err
		}
	}
	if !v.unread {
		v.counters() // what can't be read can't be counted
	}
	return v.orphans()
}

// check looks at each key of a table.
type check struct {
	table byte
	fn    func(key []byte, value func() ([]byte, error)) error
}

// verifier is one run of Verify.
type verifier struct {
	going  func() error
	s      *Spool
	g      *generation
	r      pebble.Reader
	report func(queue.Damage)
	seen   map[string]bool // what was reported: a message, or a file
	unread bool            // not all tables could be read

	progress    func(done, total int64)
	done, total int64 // octets of content
	told        int64 // of done, to progress

	// What follows is for looking up, in the order of a table, what belongs to its
	// keys.
	o               *inOrder
	contents, files *ascending

	counted map[counter]counts
	places  places
	key     []byte
}

// pass does checks one after another. What can't be read of a table is reported.
func (v *verifier) pass(checks []check) error {
	for _, c := range checks {
		err := v.scan(c)
		if err := v.going(); err != nil {
			return err
		}
		if err != nil {
			v.tell(queue.Damage{Where: tableNames[c.table], What: firstLine(err)})
		}
	}
	return nil
}

func (v *verifier) scan(c check) (err error) {
	if v.o, err = newInOrder(v.r); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, otherThanDamage(v.o.close())) }()
	if v.contents, err = newAscending(v.r, tableContent); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, otherThanDamage(v.contents.close())) }()
	if v.files, err = newAscending(v.r, tableFile); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, otherThanDamage(v.files.close())) }()
	gaps, err := scanTable(v.r, c.table, func(it *pebble.Iterator) error {
		if err := v.going(); err != nil {
			return err
		}
		return c.fn(it.Key(), it.ValueAndErr)
	})
	for _, gap := range gaps {
		v.unread = true
		v.lost(c.table, gap)
	}
	return err
}

// otherThanDamage drops what an iterator repeats of the damage that it has met.
func otherThanDamage(err error) error {
	if isDamage(err) {
		return nil
	}
	return err
}

func (v *verifier) fault(id mail.ID, where, format string, args ...any) {
	v.tell(queue.Damage{Message: id, Where: where, What: strings.TrimSuffix(fmt.Sprintf(format, args...), corruptionDetail)})
}

// corruptionDetail is what Pebble's errors of damage end with.
const corruptionDetail = "\n<corruption detail carrier>"

// message checks a message with its content and its deliveries, and notes their
// places.
func (v *verifier) message(key []byte, read func() ([]byte, error)) error {
	id, err := parseIDKey(key, tableMessage)
	if err != nil {
		v.fault(id, fmt.Sprintf("key %x", key), "not a key of messages")
		return nil
	}
	value, err := read()
	if err != nil {
		return err
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
	v.advance(m.size)
	ds, err := v.o.of(id, &m)
	if err != nil {
		v.fault(id, "deliveries", "%v", err)
		return nil
	}
	if len(ds) == 0 {
		v.fault(id, "deliveries", "none")
	}
	for i, d := range ds {
		e := entryOf(d)
		v.key = e.appendKey(v.key[:0], d.DeliveryKey)
		v.places.want(id, v.key)
		v.count(e.counter(), e.weight(1))
		if i == 0 {
			v.count(e.counter(), counts{messages: 1, messageBytes: m.size})
		}
	}
	return nil
}

// progressEvery is after how many octets of content progress is told.
const progressEvery = 16 << 20

func (v *verifier) advance(octets int64) {
	if v.done += octets; v.progress != nil && v.done-v.told >= progressEvery {
		v.told = v.done
		v.progress(v.done, max(v.done, v.total))
	}
}

func (v *verifier) count(k counter, c counts) {
	sum := v.counted[k]
	sum.add(c)
	v.counted[k] = sum
}

func (v *verifier) content(id mail.ID, m *messageRecord) {
	if !m.inFile() {
		v.key = appendIDKey(v.key[:0], tableContent, id)
		data, err := v.contents.get(v.key)
		switch {
		case err != nil:
			v.fault(id, "content", "%v", err)
		case int64(len(data)) != m.size:
			v.fault(id, "content", "%d octets instead of %d", len(data), m.size)
		}
		return
	}
	v.key = appendIDKey(v.key[:0], tableFile, id)
	value, err := v.files.get(v.key)
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
	for v.going() == nil {
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
	case v.going() != nil:
		return nil
	case size != want.size:
		return fmt.Errorf("%d octets instead of %d", size, want.size)
	case sum.Sum32() != want.sum:
		return errors.New("its checksum is wrong")
	}
	return nil
}

// owned checks that what has the id of a message belongs to one.
func (v *verifier) owned(key []byte, _ func() ([]byte, error)) error {
	id, err := parseIDKey(key, key[0])
	if err != nil {
		v.fault(id, fmt.Sprintf("key %x", key), "malformed")
	} else if err := v.hasMessage(id); err != nil {
		v.fault(id, fmt.Sprintf("table %02x", key[0]), "no such message: %v", err)
	}
	return nil
}

func (v *verifier) hasMessage(id mail.ID) error {
	v.key = appendIDKey(v.key[:0], tableMessage, id)
	return v.o.messages.has(v.key)
}

func (v *verifier) delivery(key []byte, read func() ([]byte, error)) error {
	k, err := parseDeliveryTail(key[1:])
	if err != nil {
		v.fault(k.Message, fmt.Sprintf("key %x", key), "malformed")
		return nil
	}
	value, err := read()
	if err != nil {
		return err
	}
	where := fmt.Sprintf("delivery %d", k.Number)
	if _, err := decodeDelivery(value, k); err != nil {
		v.fault(k.Message, where, "%v", err)
	}
	if err := v.hasMessage(k.Message); err != nil {
		v.fault(k.Message, where, "no such message: %v", err)
	}
	return nil
}

// aside reports what lies in the table of what was moved aside.
func (v *verifier) aside(key []byte, _ func() ([]byte, error)) error {
	var id mail.ID
	if len(key) >= 2+len(id) {
		copy(id[:], key[2:])
	}
	v.tell(queue.Damage{
		Message: id, Where: fmt.Sprintf("key %x", key[1:]), What: "was moved aside earlier",
		MovedTo: asideTable, Remedy: remedyAside,
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
	var have, want counts
	for k, c := range v.counted {
		s := stored[k]
		if s.deliveries != c.deliveries || s.recipients != c.recipients || s.bytes != c.bytes {
			v.fault(mail.ID{}, "counters", "%s %s: %+v stored, %+v counted", k.destination, k.state, s, c)
		}
		want.add(c)
	}
	for k, c := range stored {
		if v.counted[k].deliveries == 0 && c.deliveries != 0 {
			v.fault(mail.ID{}, "counters", "%s %s: %d deliveries stored, none counted", k.destination, k.state, c.deliveries)
		}
		have.add(c)
	}
	if have != want {
		v.fault(mail.ID{}, "counters", "%+v stored in all, %+v counted", have, want)
	}
}
