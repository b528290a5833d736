// Package report keeps the runs of a benchmark and shows them: as tables with
// medians, spreads and ratios, as JSON with every run, and as plots.
//
// A run that is noisy or failed stays in the JSON with the reason, and counts
// nowhere else. What a run showed is never a reason to drop it.
package report
