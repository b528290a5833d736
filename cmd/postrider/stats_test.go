package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/relay/admin"
)

var update = flag.Bool("update", false, "write golden files anew")

// TestStatsStayReadable: a thousand destinations, most of them down, fit a screen,
// and nothing that counts is left out of the sums.
func TestStatsStayReadable(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	s := &admin.Stats{Stats: queue.Stats{Messages: 1_001_000, Bytes: 10_250_240_000}}
	for i := range 1000 {
		r := queue.StatsRow{
			Destination: fmt.Sprintf("mx/d%d.example", i), Route: "mx", State: queue.Deferred,
			Deliveries: 1000, Bytes: 10_240_000, Oldest: now.Add(-time.Duration(i+1) * time.Minute),
		}
		r.ByAge[i%10] = 1000
		s.Rows = append(s.Rows, r)
		status := queue.Down
		if i == 500 {
			status = queue.Suspended
		}
		s.Destinations = append(s.Destinations, queue.DestinationStatus{
			Destination: r.Destination, Route: "mx", Status: status, Backlog: int64(i),
			Since: now.Add(-time.Hour), Probe: now.Add(5 * time.Minute), Host: "mx.example", Reason: "connection refused",
		})
	}
	held := queue.StatsRow{Destination: "mx/d0.example", Route: "mx", State: queue.Held, Deliveries: 1000, Bytes: 10_240_000, Oldest: now.Add(-48 * time.Hour)}
	held.ByAge[9] = 1000
	s.Rows = append(s.Rows, held)
	var out strings.Builder
	if err := printStats(&out, s, 5, now); err != nil {
		t.Fatal(err)
	}
	// Since is shown in local time.
	got := strings.ReplaceAll(out.String(), now.Add(-time.Hour).Local().Format(time.RFC3339), "THEN")
	golden := filepath.Join("testdata", "stats.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || got != string(want) {
		t.Errorf("got\n%s\nwant\n%s(%v)", got, want, err)
	}
}
