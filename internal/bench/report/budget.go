package report

import "fmt"

// Budget is a promise about performance, and what was measured of it.
type Budget struct {
	What     string
	Limit    float64
	AtLeast  bool // the limit is a lower bound
	Unit     string
	Measured []float64 // the worst counts; none: not measured
}

// Holds tells whether the budget was measured and kept.
func (b Budget) Holds() bool {
	return len(b.Measured) > 0 && (b.AtLeast && b.worst() >= b.Limit || !b.AtLeast && b.worst() <= b.Limit)
}

func (b Budget) worst() float64 {
	s := Summarise(b.Measured)
	if b.AtLeast {
		return s.Min
	}
	return s.Max
}

// Budgets renders budgets in a table.
func Budgets(budgets []Budget) string {
	rows := [][]string{{"budget", "limit", "measured", ""}}
	for _, b := range budgets {
		bound := "at most "
		if b.AtLeast {
			bound = "at least "
		}
		measured, verdict := "-", "not measured"
		if len(b.Measured) > 0 {
			measured, verdict = format(b.worst())+" "+b.Unit, "MISSED"
			if b.Holds() {
				verdict = "holds"
			}
		}
		rows = append(rows, []string{b.What, fmt.Sprint(bound, format(b.Limit), " ", b.Unit), measured, verdict})
	}
	return align(rows)
}
