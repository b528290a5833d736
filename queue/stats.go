package queue

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// Ages are the upper bounds of the columns of Stats, since arrival; the last
// column holds what is older than all of them.
var Ages = [...]time.Duration{
	5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute,
	80 * time.Minute, 160 * time.Minute, 320 * time.Minute, 640 * time.Minute, 1280 * time.Minute,
}

// StatsRow counts what waits for one destination in one state: ages across, as
// in Postfix's qshape.
type StatsRow struct {
	Destination string    `json:"destination"`
	Route       string    `json:"route"`
	State       State     `json:"state"`
	Deliveries  int64     `json:"deliveries"`
	Recipients  int64     `json:"recipients"` // that still wait
	Bytes       int64     `json:"bytes"`
	Oldest      time.Time `json:"oldest"` // arrival
	// ByAge counts deliveries; one column for each of Ages and one for the rest.
	ByAge [len(Ages) + 1]int64 `json:"by_age"`
}

// Stats is the queue at a glance.
type Stats struct {
	Messages int64      `json:"messages"`
	Bytes    int64      `json:"bytes"`
	Rows     []StatsRow `json:"rows"` // the largest first
}

// Stats counts by age what Totals counts. It reads where each delivery stands and
// nothing else: what it holds grows with the destinations, the time it takes, about
// a second for a million, with the deliveries.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	type key struct {
		Destination
		State
	}
	rows := make(map[key]*StatsRow)
	now := q.clock.now()
	err := q.store.Survey(ctx, func(to Destination, s State, id mail.ID) {
		r := rows[key{to, s}]
		if r == nil {
			r = &StatsRow{Destination: to.String(), Route: to.Route, State: s, Oldest: now}
			rows[key{to, s}] = r
		}
		r.add(id.Time().UTC(), now)
	})
	if err != nil {
		return Stats{}, err
	}
	totals := q.store.Totals()
	all := Stats{Messages: totals.Messages, Bytes: totals.Bytes, Rows: make([]StatsRow, 0, len(rows))}
	for k, r := range rows {
		t := totals.By[k.Destination][k.State]
		r.Recipients, r.Bytes = t.Recipients, t.Bytes
		all.Rows = append(all.Rows, *r)
	}
	slices.SortFunc(all.Rows, func(a, b StatsRow) int {
		return cmp.Or(cmp.Compare(b.Deliveries, a.Deliveries), strings.Compare(a.Destination, b.Destination), cmp.Compare(a.State, b.State))
	})
	return all, nil
}

func (r *StatsRow) add(arrival, now time.Time) {
	r.Deliveries++
	if arrival.Before(r.Oldest) {
		r.Oldest = arrival
	}
	column, _ := slices.BinarySearch(Ages[:], now.Sub(arrival))
	r.ByAge[column]++
}

// Totals returns counts by destination and state, kept by the store.
func (q *Queue) Totals() Totals { return q.store.Totals() }

// Oldest returns when the oldest message arrived; zero if there is none.
func (q *Queue) Oldest(ctx context.Context) (time.Time, error) {
	first, err := q.store.Messages(ctx, mail.ID{}, 1)
	if err != nil || len(first) == 0 {
		return time.Time{}, err
	}
	return first[0].Arrival, nil
}
