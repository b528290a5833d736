package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/bench/meter"
	"github.com/postrider/postrider/internal/bench/report"
	"github.com/postrider/postrider/internal/bench/system"
)

// describe tells where the figures come from.
func describe(ctx context.Context, disk meter.Disk) report.Environment {
	probe := meter.NewTarget("probe")
	defer probe.Close()
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	commit, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		commit = []byte("unknown")
	}
	kibibytes, _ := strconv.ParseFloat(strings.Fields(field("/proc/meminfo", "MemTotal") + " 0")[0], 64)
	return report.Environment{
		Date:       time.Now().UTC().Format(time.DateOnly),
		Commit:     strings.TrimSpace(string(commit)),
		CPU:        field("/proc/cpuinfo", "model name"),
		Cores:      runtime.NumCPU(),
		MemoryGiB:  kibibytes / (1 << 20),
		Kernel:     strings.TrimSpace(string(kernel)),
		FileSystem: disk.FileSystem,
		Accounting: probe.Accounting(),
		Go:         runtime.Version(),
		Postfix:    system.PostfixVersion(ctx),
	}
}

// field returns what follows "name :" in the first such line of a file in /proc.
func field(path, name string) string {
	b, _ := os.ReadFile(path)
	for line := range strings.Lines(string(b)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
