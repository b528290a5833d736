package meter

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// clockTicks is USER_HZ, the unit of times in /proc: 100 on every Linux that Go
// runs on, whatever the kernel's own tick.
const clockTicks = 100

// stat is the part of /proc/PID/stat that is of use here.
type stat struct {
	parent int
	ticks  int64 // own and waited-for children's user and system time
}

func readStat(pid int) (stat, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, false
	}
	return parseStat(string(b))
}

// parseStat reads the fields after the command's name, which may itself hold
// spaces and parentheses; see proc_pid_stat(5).
func parseStat(s string) (stat, bool) {
	end := strings.LastIndexByte(s, ')')
	if end < 0 {
		return stat{}, false
	}
	f := strings.Fields(s[end+1:])
	if len(f) < 15 {
		return stat{}, false
	}
	var st stat
	st.parent, _ = strconv.Atoi(f[1])
	for _, field := range f[11:15] {
		n, _ := strconv.ParseInt(field, 10, 64)
		st.ticks += n
	}
	return st, true
}

// ProcessCPU returns the CPU seconds of a process and of the children it has
// waited for; zero once it has ended.
func ProcessCPU(pid int) float64 {
	s, _ := readStat(pid)
	return float64(s.ticks) / clockTicks
}

// OwnCPU returns the CPU seconds of this process and of its children that have
// ended.
func OwnCPU() float64 {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return sum.Seconds()
}
