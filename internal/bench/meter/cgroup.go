package meter

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// group is a cgroup made for accounting only; it limits nothing.
type group struct{ dir string }

// groupParents are where a group may be made: version 1's CPU accounting, then
// version 2 in its usual place and beside version 1.
var groupParents = []string{"/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"}

// newGroup returns nil where this machine lets us make none.
func newGroup(name string) *group {
	for _, parent := range groupParents {
		if _, err := os.Stat(filepath.Join(parent, "cgroup.procs")); err != nil {
			continue
		}
		g := &group{dir: filepath.Join(parent, fmt.Sprintf("postrider-bench-%d-%s", os.Getpid(), name))}
		if err := os.Mkdir(g.dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			continue
		}
		if g.writable() {
			return g
		}
		os.Remove(g.dir)
	}
	return nil
}

// writable tells whether processes may be put into g: some containers show the
// files and refuse the write.
func (g *group) writable() bool {
	probe := exec.Command("/bin/sh", "-c", "exec true")
	g.wrap(probe)
	return probe.Run() == nil
}

// wrap makes cmd enter the group before it becomes what it is to be, so that
// nothing it does is missed.
func (g *group) wrap(cmd *exec.Cmd) {
	const enter = `echo $$ > "$0" && exec "$@"`
	path := cmd.Path
	cmd.Path = "/bin/sh"
	cmd.Args = append([]string{"sh", "-c", enter, filepath.Join(g.dir, "cgroup.procs"), path}, cmd.Args[1:]...)
}

func (g *group) pids() []int {
	b, _ := os.ReadFile(filepath.Join(g.dir, "cgroup.procs"))
	var pids []int
	for _, field := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// cpu reads nanoseconds from version 1 or microseconds from version 2.
func (g *group) cpu() float64 {
	if b, err := os.ReadFile(filepath.Join(g.dir, "cpuacct.usage")); err == nil {
		n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		return float64(n) / 1e9
	}
	b, _ := os.ReadFile(filepath.Join(g.dir, "cpu.stat"))
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, "usage_usec "); ok {
			usec, _ := strconv.ParseInt(strings.TrimSpace(n), 10, 64)
			return float64(usec) / 1e6
		}
	}
	return 0
}

func (g *group) remove() error { return os.Remove(g.dir) }
