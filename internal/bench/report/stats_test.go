package report

import (
	"testing"
	"time"
)

func TestSummariseShowsMedianAndSpread(t *testing.T) {
	tests := []struct {
		reason string
		values []float64
		want   string
	}{
		{"nothing measured is not zero", nil, "-"},
		{"one run has no spread", []float64{12.34}, "12.3"},
		{"the median of an odd number is a run, whatever the order", []float64{30, 10, 1000}, "30 (10-1000)"},
		{"of an even number it lies between two", []float64{1, 2, 4, 100}, "3 (1-100)"},
		{"large figures need no decimals", []float64{12345.6}, "12346"},
		{"small ones keep two digits", []float64{0.0123}, "0.012"},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			if got := Summarise(tt.values).String(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSummariseLeavesItsArgumentAlone(t *testing.T) {
	values := []float64{3, 1, 2}
	Summarise(values)
	if values[0] != 3 || values[1] != 1 {
		t.Errorf("values were sorted in place: %v", values)
	}
}

func TestPercentileIsNearestRank(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1)*time.Millisecond)
	}
	tests := []struct {
		reason string
		sorted []time.Duration
		p      float64
		want   float64
	}{
		{"no values", nil, 50, 0},
		{"one value is every percentile", hundred[:1], 99, 1},
		{"half of a hundred are at most the 50th", hundred, 50, 50},
		{"99 of a hundred are at most the 99th", hundred, 99, 99},
		{"the 100th is the largest", hundred, 100, 100},
		{"of three the middle one", hundred[:3], 50, 2},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			if got := Percentile(tt.sorted, tt.p); got != tt.want {
				t.Errorf("got %v ms, want %v", got, tt.want)
			}
		})
	}
}
