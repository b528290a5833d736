package queue

import (
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// A lane whose reading is begun anew while its next page is on the way misses
// nothing: neither what came before that page nor what was inserted meanwhile.
func TestRewoundWhileItIsRead(t *testing.T) {
	var now time.Time
	var stored []Place
	for i := range 3 * pageSize {
		stored = append(stored, Place{Due: now.Add(time.Duration(i)), DeliveryKey: DeliveryKey{Message: mail.ID{1}, Number: uint32(i)}})
	}
	known := func(DeliveryKey) bool { return false }
	due := func(time.Time) bool { return true }
	read := func(after Place) (page []Place) {
		for _, p := range stored {
			if comparePlaces(p, after) > 0 && len(page) < pageSize {
				page = append(page, p)
			}
		}
		return page
	}
	l := &lane{cursor: stored[pageSize-1], more: true, loading: true}
	page := read(l.cursor)
	l.rewind(Place{}, now)
	last := Place{Due: now.Add(time.Hour), DeliveryKey: DeliveryKey{Message: mail.ID{2}}}
	stored = append(stored, last)
	l.insert(entry{Place: last}, true)
	l.loaded(page, known, due)
	seen := map[DeliveryKey]bool{}
	for _, ok := l.wants(); ok; _, ok = l.wants() {
		if l.waiting() > 0 {
			seen[l.pop().DeliveryKey] = true
			continue
		}
		l.loading = true
		l.loaded(read(l.cursor), known, due)
	}
	if len(seen) != len(stored) {
		t.Errorf("%d of %d entries are found", len(seen), len(stored))
	}
}
