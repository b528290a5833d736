package meter

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Disk is the block device below a directory.
type Disk struct {
	major, minor uint64
	FileSystem   string // type, such as ext4
}

// tmpfsMagic is what statfs(2) says of a file system in memory.
const tmpfsMagic = 0x01021994

// DiskOf finds the device that holds dir. A file system in memory has none: a
// sync costs nothing there and no figure of a durable queue means anything.
func DiskOf(dir string) (Disk, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return Disk{}, fmt.Errorf("find the file system of %s: %w", dir, err)
	}
	if fs.Type == tmpfsMagic {
		return Disk{}, fmt.Errorf("%s is in memory; choose a directory on a disk", dir)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return Disk{}, fmt.Errorf("find the device of %s: %w", dir, err)
	}
	// The encoding of dev_t: see makedev(3).
	d := Disk{
		major: st.Dev >> 8 & 0xfff,
		minor: st.Dev&0xff | st.Dev>>12&0xfff00,
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	d.FileSystem = d.fileSystem(string(mounts))
	return d, nil
}

// fileSystem finds the type in the lines of mountinfo: fields up to a lone "-"
// vary in number, the type follows it.
func (d Disk) fileSystem(mountinfo string) string {
	id := fmt.Sprintf("%d:%d", d.major, d.minor)
	for line := range strings.Lines(mountinfo) {
		f := strings.Fields(line)
		if dash := slices.Index(f, "-"); len(f) > 2 && f[2] == id && dash > 0 && dash+1 < len(f) {
			return f[dash+1]
		}
	}
	return "unknown"
}

// diskCount is what a device has done since boot.
type diskCount struct {
	writes  float64
	written float64 // KiB
	flushes float64
}

func (d Disk) count() diskCount {
	b, _ := os.ReadFile("/proc/diskstats")
	return d.parse(string(b))
}

// parse reads the device's line; see the kernel's iostats.rst for the fields.
func (d Disk) parse(diskstats string) diskCount {
	for line := range strings.Lines(diskstats) {
		f := strings.Fields(line)
		if len(f) < 10 || f[0] != strconv.FormatUint(d.major, 10) || f[1] != strconv.FormatUint(d.minor, 10) {
			continue
		}
		number := func(i int) float64 {
			if i >= len(f) {
				return 0 // kernels before 5.5 count no flushes
			}
			n, _ := strconv.ParseFloat(f[i], 64)
			return n
		}
		const sectorKiB = 0.5
		return diskCount{writes: number(7), written: number(9) * sectorKiB, flushes: number(18)}
	}
	return diskCount{}
}

// SyncTime appends size octets to a file in dir and syncs it, n times, and
// returns the median: what one durable write costs at least.
func SyncTime(dir string, size, n int) (time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "synctime"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, size)
	took := make([]time.Duration, n)
	for i := range took {
		start := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		took[i] = time.Since(start)
	}
	slices.Sort(took)
	return took[n/2], nil
}
