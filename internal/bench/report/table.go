package report

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Table renders the runs of one profile in Markdown that reads well as it is.
// Below the systems of each case stand the ratios of the first system's medians
// to those of each rival.
func (s Set) Table(subject string, rivals ...string) string {
	columns := s.columns()
	head := []string{"case", "system", "runs"}
	for _, m := range columns {
		head = append(head, m.Column)
	}
	rows := [][]string{head}
	for _, name := range s.Cases() {
		runs := s.Case(name)
		for _, system := range runs.Systems() {
			rows = append(rows, row(name, runs.System(system), system, columns))
		}
		for _, rival := range rivals {
			if r := ratios(runs.System(subject), runs.System(rival), columns); r != nil {
				rows = append(rows, append([]string{name, subject + " / " + rival, ""}, r...))
			}
		}
	}
	return align(rows) + s.dropped()
}

// columns are the metrics that have a column and at least one value.
func (s Set) columns() []Metric {
	var columns []Metric
	for _, m := range Metrics {
		if m.Column != "" && len(s.Values(m.Key)) > 0 {
			columns = append(columns, m)
		}
	}
	return columns
}

func row(name string, runs Set, system string, columns []Metric) []string {
	cells := []string{name, system, fmt.Sprint(len(runs.Good()))}
	for _, m := range columns {
		cells = append(cells, Summarise(runs.Values(m.Key)).String())
	}
	return cells
}

func ratios(subject, rival Set, columns []Metric) []string {
	if len(subject.Good()) == 0 || len(rival.Good()) == 0 {
		return nil
	}
	var cells []string
	for _, m := range columns {
		cell := ""
		ours, theirs := Summarise(subject.Values(m.Key)), Summarise(rival.Values(m.Key))
		if m.Compare && ours.Runs > 0 && theirs.Runs > 0 && theirs.Median > 0 {
			cell = "x" + format(ours.Median/theirs.Median)
		}
		cells = append(cells, cell)
	}
	return cells
}

// dropped lists the runs that don't count.
func (s Set) dropped() string {
	var b strings.Builder
	for _, r := range s {
		if r.Dropped != "" {
			fmt.Fprintf(&b, "\nDropped: %s, %s, round %d: %s", r.Case, r.System, r.Round, firstLine(r.Dropped))
		}
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
	return b.String()
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// align renders rows as a Markdown table; the first row is the heading.
func align(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for _, cells := range rows {
		for i, cell := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, cells := range rows {
		for i, cell := range cells {
			b.WriteString("| " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+1))
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				b.WriteString("|" + strings.Repeat("-", width+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}
