package report

import (
	"math"
	"slices"
	"time"
)

// Summary is what a table shows of several runs.
type Summary struct {
	Runs             int
	Median, Min, Max float64
}

// Summarise returns the zero Summary for no values.
func Summarise(values []float64) Summary {
	if len(values) == 0 {
		return Summary{}
	}
	sorted := slices.Sorted(slices.Values(values))
	return Summary{Runs: len(sorted), Median: median(sorted), Min: sorted[0], Max: sorted[len(sorted)-1]}
}

func median(sorted []float64) float64 {
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half]
	}
	return (sorted[half-1] + sorted[half]) / 2
}

// String shows the median, and the spread where there is one.
func (s Summary) String() string {
	switch s.Runs {
	case 0:
		return "-"
	case 1:
		return format(s.Median)
	default:
		return format(s.Median) + " (" + format(s.Min) + "-" + format(s.Max) + ")"
	}
}

// Percentile returns the smallest value that is not below p percent of the
// sorted ones, in milliseconds; 0 for none.
func Percentile(sorted []time.Duration, p float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return float64(sorted[max(0, rank-1)]) / float64(time.Millisecond)
}
