package main

import (
	"strings"

	"github.com/postrider/postrider/internal/bench/report"
)

// budgets compares what was measured with what was promised. Each figure is a
// median over the rounds; where several cases fall under a budget, the worst
// decides.
func budgets(runs report.Set) []report.Budget {
	relay := runs.Of("relay")
	ours := func(s report.Set, metric string) []float64 { return medians(s.System("postrider"), metric) }
	idle := runs.Of("resources")
	million := runs.Of("backlog").Case("1000000 deferred")
	return []report.Budget{
		{What: "relay rate to Postfix's, 10 KB over 10-50 connections", Limit: 5, AtLeast: true, Unit: "times", Measured: rateRatios(relay)},
		{What: "CPU for 1,000 messages, the same", Limit: 0.25, Unit: "s", Measured: ours(usual(relay), "cpu")},
		{What: "end of data to arrival, idle, p50, above one disk sync", Limit: 3, Unit: "ms", Measured: addedLatency(runs.Of("latency"))},
		{What: "accept rate with the backlog of the empty one's", Limit: 90, AtLeast: true, Unit: "%", Measured: ours(runs.Of("backlog"), "accept_kept")},
		{What: "RSS idle", Limit: 30, Unit: "MiB", Measured: ours(idle, "rss")},
		{What: "RSS relaying 10 KB messages over 10-50 connections", Limit: 120, Unit: "MiB", Measured: ours(usual(relay), "rss")},
		{What: "RSS with 1,000,000 deferred", Limit: 200, Unit: "MiB", Measured: ours(million, "rss")},
		{What: "start to ready, empty queue", Limit: 100, Unit: "ms", Measured: ours(idle, "start")},
		{What: "start to ready, 1,000,000 deferred", Limit: 1, Unit: "s", Measured: ours(million, "restart")},
		{What: "stripped static binary", Limit: 30, Unit: "MiB", Measured: ours(idle, "binary")},
	}
}

// usual picks the load that budgets speak of.
func usual(relay report.Set) report.Set {
	var picked report.Set
	for _, s := range []shape{{size10K, 10, false}, {size10K, 50, false}} {
		picked = append(picked, relay.Case(s.String())...)
	}
	return picked
}

// medians returns the median of a metric for each case.
func medians(runs report.Set, metric string) []float64 {
	var found []float64
	for _, name := range runs.Cases() {
		if s := report.Summarise(runs.Case(name).Values(metric)); s.Runs > 0 {
			found = append(found, s.Median)
		}
	}
	return found
}

// rateRatios compares Postrider with every Postfix in every usual case.
func rateRatios(relay report.Set) []float64 {
	var ratios []float64
	picked := usual(relay)
	for _, name := range picked.Cases() {
		runs := picked.Case(name)
		ours := report.Summarise(runs.System("postrider").Values("delivered"))
		for _, rival := range runs.Systems() {
			theirs := report.Summarise(runs.System(rival).Values("delivered"))
			if strings.HasPrefix(rival, "postfix") && ours.Runs > 0 && theirs.Runs > 0 {
				ratios = append(ratios, ours.Median/theirs.Median)
			}
		}
	}
	return ratios
}

// addedLatency subtracts what one sync cost just before each run.
func addedLatency(latency report.Set) []float64 {
	var added []float64
	for _, r := range latency.System("postrider").Good() {
		added = append(added, r.Values["arrive_p50"]-r.Values["sync"])
	}
	if len(added) == 0 {
		return nil
	}
	return []float64{report.Summarise(added).Median}
}
