package main

import (
	"flag"
	"fmt"
	"runtime/debug"
	"testing"
)

var (
	messages     = flag.Int("messages", 10_000, "how many are deferred")
	destinations = flag.Int("destinations", 1000, "over how many destinations")
)

// BenchmarkMillionDeferred does what the command does, with ten thousand messages
// unless it is told otherwise:
//
//	go test -run - -bench MillionDeferred -benchtime 1x -timeout 3h ./internal/bench/million -args -messages 1000000
//
// All phases share its process, so that resident sets are upper bounds. The queue
// is made below TMPDIR, which should be on a real disk.
func BenchmarkMillionDeferred(b *testing.B) {
	full := fmt.Sprintf("accepted with %d deferred", *messages*(parts-1)/parts)
	metrics := []struct{ phase, figure, unit string }{
		{"fill", "accepted with 0 deferred", "accept-empty/s"},
		{"fill", full, "accept-full/s"},
		{"fill", "resident, largest", "fill-RSS-MiB"},
		{"fill", "written", "written-MiB"},
		{"start", "start to ready", "ready-s"},
		{"list", "all, page by page", "list-s"},
		{"stats", "all", "stats-s"},
		{"verify", "all", "verify-s"},
		{"drain", "until empty", "drain-s"},
		{"drain", "delivered", "drain/s"},
		{"drain", "resident, largest", "drain-RSS-MiB"},
	}
	for range b.N {
		o := options{Messages: *messages, Destinations: *destinations, Size: 10 << 10, Clients: 20, Dir: b.TempDir()}
		measured := make(map[string]float64)
		for _, p := range phases {
			figures, err := runPhase(b.Context(), o, p.name)
			if err != nil {
				b.Fatalf("%s: %v", p.name, err)
			}
			for _, f := range figures {
				measured[p.name+": "+f.Name] = f.Value
			}
			debug.FreeOSMemory()
		}
		for _, m := range metrics {
			value, ok := measured[m.phase+": "+m.figure]
			if !ok {
				b.Fatalf("%s has no figure %q", m.phase, m.figure)
			}
			b.ReportMetric(value, m.unit)
		}
	}
}
