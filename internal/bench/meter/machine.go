package meter

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"
)

// machine is the CPU time of all cores since boot, in seconds.
type machine struct{ busy, iowait, total float64 }

func readMachine() machine {
	b, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(b), "\n")
	return parseMachine(line)
}

// parseMachine reads the "cpu" line: user nice system idle iowait irq softirq
// steal; guest time is already in user.
func parseMachine(line string) machine {
	f := strings.Fields(line)
	if len(f) < 9 {
		return machine{}
	}
	var m machine
	for i, field := range f[1:9] {
		n, _ := strconv.ParseFloat(field, 64)
		n /= clockTicks
		m.total += n
		switch i {
		case 3:
		case 4:
			m.iowait = n
		default:
			m.busy += n
		}
	}
	return m
}

func (m machine) since(before machine) machine {
	return machine{busy: m.busy - before.busy, iowait: m.iowait - before.iowait, total: m.total - before.total}
}

// share is part of the machine, 0 to 1.
func (m machine) share(seconds float64) float64 {
	return seconds / max(0.01, m.total)
}

// Quiet waits until less than a tenth of the machine was busy for a second, at
// most for the time given, and tells whether it was.
func Quiet(ctx context.Context, patience time.Duration) bool {
	deadline := time.Now().Add(patience)
	for {
		before := readMachine()
		select {
		case <-ctx.Done():
			return false
		case <-time.After(time.Second):
		}
		if d := readMachine().since(before); d.share(d.busy) < MaxForeign {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}
