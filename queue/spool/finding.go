package spool

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// tell reports d: once for each message, with its sender and recipients if they can
// be read, and once for each file.
func (v *verifier) tell(d queue.Damage) {
	about := d.Where
	if !d.Message.IsZero() {
		about = d.Message.String()
	}
	if v.seen[about] {
		return
	}
	v.seen[about] = true
	remedy := remedyRecord
	if m, err := readMessage(v.r, d.Message); err == nil && !d.Message.IsZero() {
		if e, err := decodeEnvelope(m.envelope, d.Message); err == nil {
			remedy = remedyContent // it can be dropped
			d.From = e.From.String()
			to := make([]string, len(e.Recipients))
			for i := range e.Recipients {
				to[i] = e.Recipients[i].Address.String()
			}
			d.To = strings.Join(to, ", ")
		}
	}
	if d.Remedy == "" {
		d.Remedy = remedy
	}
	v.report(d)
}

// lost reports a stretch of a table that can't be read: the file, and the messages
// that other tables name in it.
func (v *verifier) lost(table byte, gap stretch) {
	d := queue.Damage{Where: tableNames[table], What: firstLine(gap.err), Remedy: remedyRenewal}
	if info := pebble.ExtractDataCorruptionInfo(gap.err); info != nil {
		d.Where = info.Path
	}
	v.tell(d)
	if table != tableMessage {
		return
	}
	for _, other := range []byte{tableContent, tableDelivery, tableFile} {
		from := append([]byte{other}, gap.from[1:]...)
		// What can't be read there either is reported when that table is read.
		_ = scanKeys(v.r, from, []byte{other + 1}, func(it *pebble.Iterator) error {
			var id mail.ID
			copy(id[:], it.Key()[1:])
			key := appendIDKey(nil, tableMessage, id)
			if string(key) >= string(gap.to) {
				return errStop
			}
			if _, err := get(v.r, key); isDamage(err) {
				v.fault(id, tableNames[tableMessage], "%s", firstLine(err))
			}
			return v.going()
		})
	}
}

// orphanAge is how old a content file that no message names has to be before a
// running relay wonders: it may belong to a message that is on its way in.
const orphanAge = 10 * time.Minute

// orphans reports content files that no message names.
func (v *verifier) orphans() error {
	remedy := "nothing to do: it was never acknowledged, or has been delivered; the next start removes it"
	if _, err := get(v.r, orphansKey); err == nil {
		remedy = "its records may be lost; the next start moves it to " + damagedName + "/"
	}
	dir := v.s.fs.PathJoin(v.s.dir, contentName)
	names, err := v.s.fs.List(dir)
	if err != nil {
		return wrap("listing content files", err)
	}
	for _, name := range names {
		id, err := mail.ParseID(name)
		if err != nil {
			continue
		}
		if err := v.going(); err != nil {
			return err
		}
		info, err := v.s.fs.Stat(v.s.fs.PathJoin(dir, name))
		if err != nil || !v.s.offline && (time.Since(info.ModTime()) < orphanAge || v.s.journal.waits(id)) {
			continue // gone since, or not an orphan yet
		}
		if _, err := get(v.g.db, appendIDKey(nil, tableFile, id)); errors.Is(err, queue.ErrNotFound) {
			v.tell(queue.Damage{
				Message: id, Where: v.s.contentPath(id), What: fmt.Sprintf("no message names it (%d octets)", info.Size()),
				Remedy: remedy,
			})
		}
	}
	return nil
}

// waits reports whether the content file of a message that has ended is still to be
// removed.
func (j *journal) waits(id mail.ID) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.steps {
		if j.steps[i].file > 0 && j.steps[i].key.Message == id {
			return true
		}
	}
	return false
}
