package spool

import (
	"errors"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// sweep compares the content files with the messages that need them: files that
// no message names go, messages whose file is missing or cut short are given to
// the operator as Dead. It runs in Open, before anybody else. Its time grows
// with the number of large messages only; that their files hold the right octets
// is checked when they are read, and by Verify.
func (s *Spool) sweep(g *generation) error {
	files, err := s.contentFiles()
	if err != nil {
		return wrap("listing content files", err)
	}
	var orphans []mail.ID
	type fault struct {
		id mail.ID
		d  queue.Damage
	}
	var faults []fault
	lost, err := scanTable(g.db, tableFile, func(it *pebble.Iterator) error {
		id, err := parseIDKey(it.Key(), tableFile)
		if err != nil {
			return nil // Verify reports it
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		for len(files) > 0 && files[0].Compare(id) < 0 {
			orphans, files = append(orphans, files[0]), files[1:]
		}
		there := len(files) > 0 && files[0] == id
		if there {
			files = files[1:]
		}
		if d, bad := s.inspect(id, value, there); bad {
			faults = append(faults, fault{id, d})
		}
		return nil
	})
	if err != nil {
		return wrap("comparing content files", err)
	}
	if err := s.dropOrphans(g, append(orphans, files...), len(lost) > 0); err != nil {
		return wrap("removing content files", err)
	}
	for _, f := range faults {
		if err := s.bury(g, f.id, f.d); err != nil {
			return err
		}
	}
	return nil
}

// dropOrphans unlinks content files that no message names. They are put aside
// instead if keep is set, or records were lost since they were last looked at.
func (s *Spool) dropOrphans(g *generation, ids []mail.ID, keep bool) error {
	_, err := get(g.db, orphansKey)
	marked := err == nil
	if err != nil && !errors.Is(err, queue.ErrNotFound) {
		if !isDamage(err) {
			return err
		}
		keep = true
	}
	moved := true
	for _, id := range ids {
		if keep || marked {
			moved = s.keepOrphan(id) && moved
		} else {
			s.unlink(id)
		}
	}
	if !marked || !moved {
		return nil // the next sweep tries again
	}
	b := g.db.NewBatch()
	defer b.Close()
	_ = b.Delete(orphansKey, nil)
	return g.apply(b)
}

// keepOrphan puts a content file aside whose message's records are lost. It
// reports whether it could.
func (s *Spool) keepOrphan(id mail.ID) bool {
	d := queue.Damage{
		Message: id, Where: s.contentPath(id), What: "no message names it",
		MovedTo: s.asidePath(id),
		Remedy:  "its records are lost; the content can be sent anew by hand",
	}
	err := s.fs.Rename(d.Where, d.MovedTo)
	if err != nil {
		d.MovedTo, d.Remedy = "", "it could not be moved to "+d.MovedTo+" and stays where it is: "+err.Error()
	}
	_ = s.damaged(d)
	return err == nil
}

// contentFiles returns the ids that content files are named by, in order, and
// removes what a crash left of files that never got a name.
func (s *Spool) contentFiles() ([]mail.ID, error) {
	dir := s.fs.PathJoin(s.dir, contentName)
	names, err := s.fs.List(dir)
	if err != nil {
		return nil, err
	}
	var ids []mail.ID
	for _, name := range names {
		if id, err := mail.ParseID(name); err == nil {
			ids = append(ids, id)
		} else if strings.HasPrefix(name, stagePrefix) {
			if err := s.fs.Remove(s.fs.PathJoin(dir, name)); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(ids, mail.ID.Compare)
	return ids, nil
}

// inspect checks a content file without reading it.
func (s *Spool) inspect(id mail.ID, record []byte, there bool) (d queue.Damage, bad bool) {
	d = queue.Damage{Message: id, Where: s.contentPath(id), Remedy: remedyContent}
	want, err := decodeFile(record)
	if err != nil {
		d.What = "its record can't be read"
		return d, true
	}
	if !there {
		d.What = "missing"
		return d, true
	}
	info, err := s.fs.Stat(d.Where)
	switch {
	case err != nil:
		d.What = err.Error()
	case info.Size() != want.size:
		d.What = "cut short"
		if info.Size() > want.size {
			d.What = "longer than it was"
		}
	default:
		return d, false
	}
	return d, true
}

// bury makes the deliveries of a message without a content Dead, so that the
// operator sees them and nothing tries them, and moves what is left of the
// content aside.
func (s *Spool) bury(g *generation, id mail.ID, d queue.Damage) error {
	if d.What != "missing" {
		aside := s.asidePath(id)
		if err := s.fs.Rename(d.Where, aside); err == nil {
			d.MovedTo = aside
		}
	}
	_ = s.damaged(d)
	ds, err := readDeliveries(g.db, id)
	if errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrDamaged) {
		return s.setAsideAtOpen(g, id, err)
	}
	if err != nil {
		return wrap("reading message "+id.String(), err)
	}
	c := &queue.Change{Sync: true}
	for _, old := range ds {
		if old.State == queue.Dead {
			continue
		}
		dead := *old
		dead.State = queue.Dead
		dead.Recipients = slices.Clone(old.Recipients)
		for i := range dead.Recipients {
			if r := &dead.Recipients[i]; !r.State.Final() {
				r.State, r.Reason = queue.Dead, "the content in the queue is damaged: "+d.What
			}
		}
		c.Put = append(c.Put, queue.Move{Old: old, New: &dead})
	}
	if len(c.Put) == 0 {
		return nil
	}
	return s.commit(g, c)
}

// setAsideAtOpen deals with records that can't be read without failing Open.
func (s *Spool) setAsideAtOpen(g *generation, id mail.ID, cause error) error {
	if errors.Is(cause, queue.ErrNotFound) {
		_, err := s.moveAside(g, id) // a file record whose message is gone
		return err
	}
	_ = s.setAside(g, id, cause)
	return nil
}
