package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/bench/report"
)

func TestParseOptions(t *testing.T) {
	tests := []struct {
		reason string
		args   string
		check  func(options) bool
		err    string
	}{
		{reason: "the default is a first picture of everything", args: "",
			check: func(o options) bool { return len(o.profiles) == len(profiles) && o.rounds == 2 && !o.full }},
		{reason: "full means a million, and Postfix as it comes too", args: "-full",
			check: func(o options) bool { return slices.Contains(o.backlogs, 1_000_000) && o.wants("postfix") }},
		{reason: "an explicit count wins over the default of full", args: "-full -count 7",
			check: func(o options) bool { return o.count == 7 && o.rounds == 5 }},
		{reason: "profiles are measured in the order given", args: "-profile latency,relay",
			check: func(o options) bool { return o.profiles[0].name == "latency" && o.profiles[1].name == "relay" }},
		{reason: "a profile that isn't there", args: "-profile speed", err: `no profile "speed"; there are relay, `},
		{reason: "a system that isn't there", args: "-systems exim", err: `no system "exim"`},
		{reason: "a backlog must have its parts", args: "-backlog 3", err: "at least 20"},
		{reason: "nothing measured at all", args: "-rounds -1", err: "positive"},
		{reason: "a forgotten dash", args: "full", err: `unexpected argument "full"`},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			o, err := parseOptions(strings.Fields(tt.args))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || !tt.check(o) {
				t.Errorf("%+v, %v", o, err)
			}
		})
	}
}

func TestShapesAreScaledToLastSeconds(t *testing.T) {
	tests := []struct {
		shape shape
		name  string
		count int
	}{
		{shape{size10K, 50, false}, "10 KB x50", 10_000},
		{shape{size10K, 1, false}, "10 KB x1", 2000},
		{shape{size100K, 10, true}, "100 KB x10 reused", 2000},
		{shape{size1M, 100, false}, "1 MB x100", 200},
		{shape{size1M, 1, false}, "1 MB x1", 40},
	}
	for _, tt := range tests {
		if got := tt.shape.count(10_000); got != tt.count || tt.shape.String() != tt.name {
			t.Errorf("%s: %d messages, want %s with %d", tt.shape, got, tt.name, tt.count)
		}
	}
}

func TestBudgetsTakeTheWorstCaseAndTheFastestRival(t *testing.T) {
	run := func(profile, name, system string, values map[string]float64) report.Run {
		return report.Run{Profile: profile, Case: name, System: system, Values: values}
	}
	runs := report.Set{
		run("relay", "10 KB x10", "postrider", map[string]float64{"delivered": 6000, "cpu": 0.2}),
		run("relay", "10 KB x10", "postfix", map[string]float64{"delivered": 600}),
		run("relay", "10 KB x10", "postfix-tuned", map[string]float64{"delivered": 1000}),
		run("relay", "10 KB x10", "load tools alone", map[string]float64{"delivered": 9000}),
		run("relay", "10 KB x50", "postrider", map[string]float64{"delivered": 8000, "cpu": 0.3}),
		run("relay", "10 KB x50", "postfix-tuned", map[string]float64{"delivered": 2000}),
		run("relay", "1 MB x10", "postrider", map[string]float64{"delivered": 10, "cpu": 9}),
		run("latency", "20/s", "postrider", map[string]float64{"arrive_p50": 2.5, "sync": 0.5}),
	}
	want := map[string][]float64{
		"relay rate to Postfix's, 10 KB over 10-50 connections":  {10, 6, 4},
		"CPU for 1,000 messages, the same":                       {0.2, 0.3},
		"end of data to arrival, idle, p50, above one disk sync": {2},
		"RSS idle": nil,
	}
	for _, b := range budgets(runs) {
		if w, ok := want[b.What]; ok && !slices.Equal(b.Measured, w) {
			t.Errorf("%s: measured %v, want %v", b.What, b.Measured, w)
		}
	}
}
