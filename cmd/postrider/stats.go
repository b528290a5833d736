package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/relay/admin"
)

// printStats writes destinations down and ages across, as qshape does: the sum of
// all, the largest rows, and the sum of those that are left out. Then it tells of
// what is in trouble. rows bounds both; 0 is no bound.
func printStats(out io.Writer, s *admin.Stats, rows int, now time.Time) error {
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "%s, %s\n", plural(s.Messages, "message", "messages"), size(s.Bytes))
	if len(s.Rows) > 0 {
		fmt.Fprintln(w)
		printShape(w, shape(s.Rows, rows), now)
	}
	printTroubles(w, s.Destinations, rows, now)
	return w.Flush()
}

// shapeLine is a line of the table: a row, or a sum of rows.
type shapeLine struct {
	name, state string
	queue.StatsRow
}

// shape returns the lines of a table: a sum for each state, at most so many rows,
// and the sum of the rest.
func shape(all []queue.StatsRow, most int) []shapeLine {
	var lines []shapeLine
	if len(all) > 1 {
		by := make(map[queue.State][]queue.StatsRow)
		for i := range all {
			by[all[i].State] = append(by[all[i].State], all[i])
		}
		for _, state := range slices.Sorted(maps.Keys(by)) {
			lines = append(lines, shapeLine{"TOTAL", state.String(), sum(by[state])})
		}
	}
	shown := all
	if most > 0 && len(all) > most {
		shown = all[:most]
	}
	for i := range shown {
		lines = append(lines, shapeLine{shown[i].Destination, shown[i].State.String(), shown[i]})
	}
	if rest := all[len(shown):]; len(rest) > 0 {
		lines = append(lines, shapeLine{fmt.Sprintf("(%d more)", len(rest)), "", sum(rest)})
	}
	return lines
}

func printShape(w io.Writer, lines []shapeLine, now time.Time) {
	name, count := len("DESTINATION"), len("1280m+")
	for i := range lines {
		name = max(name, len(lines[i].name))
		count = max(count, len(fmt.Sprint(lines[i].Deliveries)))
	}
	fmt.Fprintf(w, "%-*s  %-8s %*s %9s %6s", name, "DESTINATION", "STATE", count, "COUNT", "SIZE", "OLDEST")
	for _, a := range queue.Ages {
		fmt.Fprintf(w, " %*s", count, "<"+minutes(a))
	}
	fmt.Fprintf(w, " %*s\n", count, minutes(queue.Ages[len(queue.Ages)-1])+"+")
	for i := range lines {
		l := &lines[i]
		fmt.Fprintf(w, "%-*s  %-8s %*d %9s %6s", name, l.name, l.state, count, l.Deliveries, size(l.Bytes), age(now.Sub(l.Oldest)))
		for _, n := range l.ByAge {
			fmt.Fprintf(w, " %*d", count, n)
		}
		fmt.Fprintln(w)
	}
}

// sum adds rows up.
func sum(rows []queue.StatsRow) queue.StatsRow {
	s := queue.StatsRow{Oldest: rows[0].Oldest}
	for i := range rows {
		r := &rows[i]
		s.Deliveries += r.Deliveries
		s.Bytes += r.Bytes
		if r.Oldest.Before(s.Oldest) {
			s.Oldest = r.Oldest
		}
		for j, n := range r.ByAge {
			s.ByAge[j] += n
		}
	}
	return s
}

// printTroubles tells of destinations that are not up and of senders they refuse:
// suspended routes first, since somebody has to act, then what holds up most.
func printTroubles(w io.Writer, all []queue.DestinationStatus, most int, now time.Time) {
	var down []*queue.DestinationStatus
	gap := "\n" // before the first line
	for i := range all {
		d := &all[i]
		for _, r := range d.Refused {
			fmt.Fprintf(w, gap+"%s refuses mail from %s since %s; next attempt %s\n    %s\n", d.Destination, printable(r.Sender),
				r.Since.Local().Format(time.RFC3339), next(r.Probe, now), printable(r.Reason))
			gap = ""
		}
		if d.Status != queue.Up {
			down = append(down, d)
		}
	}
	slices.SortStableFunc(down, func(a, b *queue.DestinationStatus) int {
		if (a.Status == queue.Suspended) != (b.Status == queue.Suspended) {
			return cmp.Compare(b.Status, a.Status)
		}
		return cmp.Compare(b.Backlog, a.Backlog)
	})
	shown := down
	if most > 0 && len(down) > most {
		shown = down[:most]
	}
	for _, d := range shown {
		fmt.Fprintf(w, gap+"%s is %s since %s; next attempt %s\n", d.Destination, d.Status, d.Since.Local().Format(time.RFC3339), next(d.Probe, now))
		gap = ""
		if d.Reason != "" {
			fmt.Fprintf(w, "    %s\n", printable(strings.TrimPrefix(d.Host+": "+d.Reason, ": ")))
		}
	}
	if rest := down[len(shown):]; len(rest) > 0 {
		fmt.Fprintf(w, "%s in trouble; --rows 0 shows all\n", plural(int64(len(rest)), "more destination is", "more destinations are"))
	}
}

// minutes writes the bound of a column.
func minutes(d time.Duration) string { return fmt.Sprint(int(d.Minutes()), "m") }
