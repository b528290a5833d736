package queue

import (
	"cmp"
	"slices"
	"time"
)

// pageSize is how many due entries of one lane are held in memory, and how many
// places are read from the store at a time.
const pageSize = 64

// lane is a window on one lane of the schedule. The store holds the schedule;
// memory holds the first due entries of it and knows where to go on reading:
//
//	page             entries up to cursor, in order, waiting for a worker
//	(claimed)        entries up to cursor that a worker or an operator has
//	cursor           everything after it is unread
//	more, next       whether there is anything unread, and when the first is due
//
// The cursor may always be lowered: what is read twice is recognised by its claim
// or by its place. It must never pass an entry that is neither in page nor
// claimed. The scheduler's mutex guards everything here.
type lane struct {
	Lane
	hop *hop

	page   []entry
	head   int // of page: entries before it have been taken
	cursor Place
	more   bool
	next   time.Time

	// loading says that a worker is reading the next page. What is inserted
	// meanwhile waits in arrived, since it may be in what is being read, or not.
	// rewound says that what is being read is void: reading has begun anew.
	loading bool
	arrived []entry
	rewound bool

	queued bool // in hop.ready
	alarm  alarm
}

// entry is a place in the schedule, with the delivery in memory if it was
// accepted just now.
type entry struct {
	Place
	fresh *fresh
}

// comparePlaces orders places as the schedule does.
func comparePlaces(a, b Place) int {
	return cmp.Or(a.Due.Compare(b.Due), compareKeys(a.DeliveryKey, b.DeliveryKey))
}

func compareKeys(a, b DeliveryKey) int {
	return cmp.Or(a.Message.Compare(b.Message), cmp.Compare(a.Number, b.Number))
}

// place is where d stands in its lane.
func (d *Delivery) place() Place { return Place{Due: d.Due, DeliveryKey: d.DeliveryKey} }

// waiting returns how many entries are in the page.
func (l *lane) waiting() int { return len(l.page) - l.head }

// pop takes the first entry of the page.
func (l *lane) pop() entry {
	e := l.page[l.head]
	l.page[l.head] = entry{}
	l.head++
	if l.head == len(l.page) {
		l.page, l.head = l.page[:0], 0
	}
	return e
}

// find returns the index of p in the page, or where it belongs.
func (l *lane) find(p Place) (int, bool) {
	i, found := slices.BinarySearchFunc(l.page[l.head:], p, func(e entry, p Place) int {
		return comparePlaces(e.Place, p)
	})
	return l.head + i, found
}

// insert notes that e is in the schedule now. Only what is due goes to the page:
// what is not costs no memory.
func (l *lane) insert(e entry, due bool) {
	switch {
	case l.loading:
		l.arrived = append(l.arrived, e)
	case comparePlaces(e.Place, l.cursor) <= 0 && due:
		l.insertBelow(e)
	case comparePlaces(e.Place, l.cursor) <= 0:
		// The cursor is in the future: it has passed what was due by the
		// horizon alone, after the clock was set back.
		l.rewind(e.Place, e.Due)
		e.fresh.drop()
	case due && !l.more && l.waiting() < pageSize:
		l.page = append(l.page, e)
		l.cursor = e.Place
	default:
		l.unread(e)
	}
}

// insertBelow puts e, which the cursor has passed, into the page. A page that
// grows too long gives its end back to the store.
func (l *lane) insertBelow(e entry) {
	i, found := l.find(e.Place)
	if found {
		if l.page[i].fresh == nil {
			l.page[i].fresh = e.fresh
		}
		return
	}
	l.page = slices.Insert(l.page, i, e)
	if l.waiting() <= pageSize {
		return
	}
	last := len(l.page) - 1
	l.unread(l.page[last])
	l.page[last] = entry{}
	l.page = l.page[:last]
	l.cursor = l.page[last-1].Place
}

// unread notes that e is in the store and beyond the cursor.
func (l *lane) unread(e entry) {
	e.fresh.drop()
	if !l.more || e.Due.Before(l.next) {
		l.next = e.Due
	}
	l.more = true
}

// remove notes that p is no longer in the schedule.
func (l *lane) remove(p Place) {
	gone := func(e entry) bool {
		if comparePlaces(e.Place, p) != 0 {
			return false
		}
		e.fresh.drop()
		return true
	}
	l.arrived = slices.DeleteFunc(l.arrived, gone)
	if i, found := l.find(p); found {
		e := l.page[i]
		l.page = slices.Delete(l.page, i, i+1)
		e.fresh.drop()
		if l.head == len(l.page) {
			l.page, l.head = l.page[:0], 0
		}
	}
}

// loaded takes up what was read: places after the cursor, in order, at most
// pageSize of them. known tells which are somebody's already.
func (l *lane) loaded(places []Place, known func(DeliveryKey) bool, due func(time.Time) bool) {
	if l.rewound {
		l.insertArrived(due)
		return
	}
	l.more = len(places) == pageSize
	for _, p := range places {
		if !due(p.Due) {
			l.more, l.next = true, p.Due
			break
		}
		l.cursor, l.next = p, p.Due
		if !known(p.DeliveryKey) {
			l.page = append(l.page, entry{Place: p})
		}
	}
	l.insertArrived(due)
}

// unreadable notes that nothing could be read. Reading goes on at again, from
// where it was.
func (l *lane) unreadable(again time.Time, due func(time.Time) bool) {
	l.more, l.next = true, again
	l.insertArrived(due)
}

func (l *lane) insertArrived(due func(time.Time) bool) {
	arrived := l.arrived
	l.loading, l.rewound, l.arrived = false, false, nil
	for _, e := range arrived {
		l.insert(e, due(e.Due))
	}
}

// wants returns when the lane has something to start or to read; false if it
// is empty.
func (l *lane) wants() (time.Time, bool) {
	switch {
	case l.loading:
		return time.Time{}, false
	case l.waiting() > 0:
		return time.Time{}, true
	}
	return l.next, l.more
}

// empty reports whether nothing is known of the lane that would be missed.
func (l *lane) empty() bool {
	return !l.loading && !l.queued && !l.more && l.waiting() == 0
}

// rewind gives p, which the cursor has passed, back to the store: reading begins
// anew, at the given time or with what else is due.
func (l *lane) rewind(p Place, again time.Time) {
	l.cursor, l.rewound = Place{}, l.loading
	l.unread(entry{Place: Place{Due: again, DeliveryKey: p.DeliveryKey}})
}
