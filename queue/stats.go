package queue

import (
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

// Stats reads through the queue, a page at a time: what it holds grows with the
// destinations, the time it takes with the messages. For counts alone Totals is
// free.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	type key struct {
		Destination
		State
	}
	totals := q.store.Totals()
	rows := make(map[key]*StatsRow)
	var from mail.ID
	for {
		messages, err := q.store.Messages(ctx, from, sweepPage)
		if err != nil {
			return Stats{}, err
		}
		now := q.clock.now()
		for _, e := range messages {
			deliveries, err := q.store.Deliveries(ctx, e.ID)
			if err != nil {
				continue // finished just now, or damaged
			}
			for _, d := range deliveries {
				k := key{d.Destination, d.State}
				if rows[k] == nil {
					rows[k] = &StatsRow{Destination: d.Destination.String(), Route: d.Destination.Route, State: d.State, Oldest: d.Arrival}
				}
				rows[k].add(d, now)
			}
		}
		if len(messages) < sweepPage {
			break
		}
		from = messages[len(messages)-1].ID.Next()
	}
	s := Stats{Messages: totals.Messages, Bytes: totals.Bytes, Rows: make([]StatsRow, 0, len(rows))}
	for _, r := range rows {
		s.Rows = append(s.Rows, *r)
	}
	slices.SortFunc(s.Rows, func(a, b StatsRow) int {
		switch {
		case a.Deliveries != b.Deliveries:
			return int(b.Deliveries - a.Deliveries)
		case a.Destination != b.Destination:
			return strings.Compare(a.Destination, b.Destination)
		}
		return int(a.State) - int(b.State)
	})
	return s, nil
}

func (r *StatsRow) add(d *Delivery, now time.Time) {
	r.Deliveries++
	r.Recipients += int64(len(d.pending()))
	r.Bytes += d.Size
	if d.Arrival.Before(r.Oldest) {
		r.Oldest = d.Arrival
	}
	column, _ := slices.BinarySearch(Ages[:], now.Sub(d.Arrival))
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
