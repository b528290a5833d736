package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/postrider/postrider/queue"
)

// listing writes deliveries for people or for programs, one by one.
type listing struct {
	w       *bufio.Writer
	json    *json.Encoder // nil for people
	now     time.Time
	entries int
	bytes   int64
}

func newListing(w io.Writer, asJSON bool) *listing {
	l := &listing{w: bufio.NewWriter(w), now: time.Now()}
	if asJSON {
		l.json = newEncoder(l.w)
	}
	return l
}

// entry writes one delivery: a line, and one for each different reason below it.
func (l *listing) entry(e *queue.Entry) error {
	if l.json != nil {
		return l.json.Encode(e)
	}
	if l.entries == 0 {
		fmt.Fprintf(l.w, "%-26s  %-8s  %5s  %5s  %5s  %8s  %s\n", "ID", "STATE", "AGE", "DUE", "TRIES", "SIZE", "FROM / TO / REASON")
	}
	l.entries++
	l.bytes += e.Size
	state := e.State.String()
	if e.Attempting {
		state = "sending"
	}
	fmt.Fprintf(l.w, "%s  %-8s  %5s  %5s  %5d  %8s  %s\n", e.ID, state,
		age(l.now.Sub(e.Arrival)), due(e.Due, l.now), e.Attempts, size(e.Size), printable(e.From))
	last := ""
	for _, r := range e.To {
		reason := ""
		if r.Reason != "" && r.Reason != last {
			reason = "  " + r.Reason
			if r.Host != "" {
				reason = "  " + r.Host + ": " + r.Reason
			}
		}
		last = r.Reason
		if r.State != e.State && (r.State.Final() || r.State == queue.Dead) {
			reason = "  [" + r.State.String() + "]" + reason
		}
		fmt.Fprintf(l.w, "    %s\n", printable(r.Address+reason))
	}
	return l.flushNow()
}

// flushNow passes on what was written: whoever reads may want to stop.
func (l *listing) flushNow() error {
	if l.w.Buffered() < 32<<10 {
		return nil
	}
	return l.w.Flush()
}

// end writes the sum.
func (l *listing) end() error {
	if l.json == nil {
		if l.entries == 0 {
			fmt.Fprintln(l.w, "The queue is empty, or nothing in it is selected.")
		} else {
			fmt.Fprintf(l.w, "%s, %s\n", plural(int64(l.entries), "delivery", "deliveries"), size(l.bytes))
		}
	}
	return l.w.Flush()
}

func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// age writes a duration in at most five characters.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// due writes when something happens, from now on.
func due(t *time.Time, now time.Time) string {
	switch {
	case t == nil:
		return "-"
	case !t.After(now):
		return "now"
	}
	return age(t.Sub(now))
}

// size writes octets in at most eight characters.
func size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%dB", n)
	case n < 1000<<10:
		return fmt.Sprintf("%.1fKiB", float64(n)/(1<<10))
	case n < 1000<<20:
		return fmt.Sprintf("%.1fMiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1fGiB", float64(n)/(1<<30))
}

// printable takes out what would move the cursor: much of what is shown comes
// from strangers.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
