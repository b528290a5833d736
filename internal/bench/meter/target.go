package meter

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Memory is what the processes of a target hold, in MiB.
type Memory struct {
	Processes int
	RSS       float64 // sum of resident sets; shared pages count once a process
	PSS       float64 // shared pages divided among those that share them
	Anonymous float64
}

// Target is a system under test: all processes that began with one command.
type Target struct {
	group *group // nil where no cgroup can be made
	root  int    // process id of the command
}

// NewTarget makes a target for a command that is to be started by Start.
func NewTarget(name string) *Target {
	return &Target{group: newGroup(name)}
}

// Start starts cmd as the target's first process, or as a further one.
func (t *Target) Start(cmd *exec.Cmd) error {
	if t.group != nil {
		t.group.wrap(cmd)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	t.root = cmd.Process.Pid
	return nil
}

// Close forgets the target, which must have ended.
func (t *Target) Close() error {
	if t.group == nil {
		return nil
	}
	return t.group.remove()
}

// Accounting tells how CPU is counted, for the report.
func (t *Target) Accounting() string {
	if t.group != nil {
		return "cgroup"
	}
	return "process tree"
}

// PIDs returns the target's processes that are alive.
func (t *Target) PIDs() []int {
	if t.group != nil {
		return t.group.pids()
	}
	return descendants(t.root)
}

// CPU returns user and system seconds used since the start. In a process tree
// without cgroup, children whose parent has not waited for them are missing.
func (t *Target) CPU() float64 {
	if t.group != nil {
		return t.group.cpu()
	}
	var sum float64
	for _, pid := range descendants(t.root) {
		sum += ProcessCPU(pid)
	}
	return sum
}

// Memory adds up the target's processes.
func (t *Target) Memory() Memory {
	var m Memory
	for _, pid := range t.PIDs() {
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // it has ended
		}
		m.Processes++
		for line := range strings.Lines(string(rollup)) {
			name, rest, _ := strings.Cut(line, ":")
			switch name {
			case "Rss":
				m.RSS += kibibytes(rest)
			case "Pss":
				m.PSS += kibibytes(rest)
			case "Anonymous":
				m.Anonymous += kibibytes(rest)
			}
		}
	}
	return m
}

// Most returns the larger of each figure.
func (m Memory) Most(n Memory) Memory {
	return Memory{
		Processes: max(m.Processes, n.Processes),
		RSS:       max(m.RSS, n.RSS),
		PSS:       max(m.PSS, n.PSS),
		Anonymous: max(m.Anonymous, n.Anonymous),
	}
}

// kibibytes reads "   1234 kB" and returns MiB.
func kibibytes(s string) float64 {
	fields := strings.Fields(s)
	if len(fields) == 0 {
		return 0
	}
	n, err := strconv.ParseFloat(fields[0], 64)
	if err != nil {
		return 0
	}
	return n / 1024
}

// descendants returns root and every process below it.
func descendants(root int) []int {
	children := map[int][]int{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if s, ok := readStat(pid); ok {
				children[s.parent] = append(children[s.parent], pid)
			}
		}
	}
	var found []int
	for todo := []int{root}; len(todo) > 0; {
		pid := todo[0]
		todo = append(todo[1:], children[pid]...)
		if _, ok := readStat(pid); ok {
			found = append(found, pid)
		}
	}
	slices.Sort(found)
	return found
}
