package meter

import (
	"os"
	"os/exec"
	"testing"
)

func TestParseStat(t *testing.T) {
	tests := []struct {
		reason, line string
		want         stat
		ok           bool
	}{
		{"own and children's times add up",
			"42 (smtpd) S 7 42 42 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 5 6 7", stat{parent: 7, ticks: 110}, true},
		{"a command may hold spaces and parentheses",
			"42 (a) b) S 9 42 42 0 -1 4194560 100 0 0 0 1 1 1 1 20 0 1 0 5 6 7", stat{parent: 9, ticks: 4}, true},
		{"a process that ended gives nothing", "", stat{}, false},
		{"half a line is no answer", "42 (smtpd) S 7", stat{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			got, ok := parseStat(tt.line)
			if got != tt.want || ok != tt.ok {
				t.Errorf("got %+v, %v", got, ok)
			}
		})
	}
}

func TestParseMachineCountsWaitingAsNotBusy(t *testing.T) {
	m := parseMachine("cpu  100 200 300 4000 500 60 70 80 90 0")
	if m.busy != 8.1 || m.iowait != 5 || m.total != 53.1 {
		t.Errorf("got %+v", m)
	}
}

func TestDiskReadsItsOwnLine(t *testing.T) {
	const diskstats = `   7       0 loop0 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1
 254       0 vda 47175 10962 2142194 16289 11498 38932 4002472 22899 0 13288 40565 8282 37 1342656 1278 1198 97
 254       1 vda1 9 9 9 9 9 9 9 9 9 9 9
`
	got := Disk{major: 254}.parse(diskstats)
	if want := (diskCount{writes: 11498, written: 2001236, flushes: 1198}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := (Disk{major: 254, minor: 1}).parse(diskstats); got.flushes != 0 || got.writes != 9 {
		t.Errorf("an old kernel's line: %+v", got)
	}
}

func TestDiskFindsItsFileSystem(t *testing.T) {
	const mountinfo = `22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw
`
	if got := (Disk{major: 254}).fileSystem(mountinfo); got != "ext4" {
		t.Errorf("got %q", got)
	}
	if got := (Disk{major: 8}).fileSystem(mountinfo); got != "unknown" {
		t.Errorf("a device that is not mounted: %q", got)
	}
}

func TestDiskOfRefusesMemory(t *testing.T) {
	if _, err := DiskOf("/dev/shm"); err == nil {
		t.Error("a queue in memory would be measured as if it were durable")
	}
}

// A child that burns CPU and ends must be counted, or Postfix's short-lived
// daemons would look free.
func TestTargetCountsChildrenThatEnded(t *testing.T) {
	target := NewTarget("test")
	defer func() {
		if err := target.Close(); err != nil {
			t.Error(err)
		}
	}()
	cmd := exec.Command("/bin/sh", "-c", `(i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done); echo done; read line`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := target.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if cpu := target.CPU(); cpu < 0.02 {
		t.Errorf("counted %.3f s of a child that ended", cpu)
	}
	if pids := target.PIDs(); len(pids) != 1 || pids[0] != cmd.Process.Pid {
		t.Errorf("processes %v, want %d alone", pids, cmd.Process.Pid)
	}
	if m := target.Memory(); m.Processes != 1 || m.RSS <= 0 || m.PSS > m.RSS {
		t.Errorf("memory %+v", m)
	}
	in.Close()
	_ = cmd.Wait() // read fails at the end of its input
	if pids := target.PIDs(); len(pids) != 0 {
		t.Errorf("processes %v after the end", pids)
	}
}

func TestDescendantsFindsGrandchildren(t *testing.T) {
	cmd := exec.Command("/bin/sh", "-c", "sh -c 'echo up; read line; true'; true")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if got := descendants(cmd.Process.Pid); len(got) != 2 {
		t.Errorf("found %v, want the shell and its child", got)
	}
	in.Close()
	_ = cmd.Wait() // read fails at the end of its input
}

func TestWindowTellsOursFromOthers(t *testing.T) {
	w := Open(nil, Disk{})
	for start := OwnCPU(); OwnCPU() < start+0.1; {
	}
	u := w.Close()
	if u.Load < 0.1 || u.CPU != 0 {
		t.Errorf("burnt 0.1 s, but load %.3f s and target %.3f s", u.Load, u.CPU)
	}
	if u.Foreign < 0 || u.Foreign > 1 || u.Elapsed <= 0 {
		t.Errorf("usage %+v", u)
	}
}

func TestSyncTimeLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	took, err := SyncTime(dir, 1000, 3)
	if err != nil || took <= 0 {
		t.Errorf("took %s, %v", took, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("left %v", entries)
	}
}
