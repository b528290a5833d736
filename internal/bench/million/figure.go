package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// figure is one thing that was measured.
type figure struct {
	Name  string
	Value float64
	Unit  string
}

func (f figure) String() string { return fmt.Sprintf("  %-44s %12.4g %s", f.Name, f.Value, f.Unit) }

func rate(name string, n int, d time.Duration) figure {
	return figure{name, float64(n) / d.Seconds(), "/s"}
}

func seconds(name string, d time.Duration) figure { return figure{name, d.Seconds(), "s"} }

func milliseconds(name string, d time.Duration) figure {
	return figure{name, 1000 * d.Seconds(), "ms"}
}

func mebibytes(name string, octets int64) figure {
	return figure{name, float64(octets) / (1 << 20), "MiB"}
}

// resident returns the process's resident set, in octets.
func resident() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// written returns the octets that the process had written to the disk.
func written() (octets int64) {
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	var skip string
	for _, line := range strings.Split(string(data), "\n") {
		if n, _ := fmt.Sscanf(line, "write_bytes: %d%s", &octets, &skip); n > 0 {
			return octets
		}
	}
	return 0
}

// processor returns the CPU seconds that the process has taken.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peak watches the resident set until it is asked for the largest.
type peak struct {
	stop    chan struct{}
	done    sync.WaitGroup
	largest int64
}

func watchMemory() *peak {
	p := &peak{stop: make(chan struct{})}
	p.done.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			p.largest = max(p.largest, resident())
			select {
			case <-tick.C:
			case <-p.stop:
				return
			}
		}
	})
	return p
}

// end returns the largest resident set since watchMemory, in octets.
func (p *peak) end() int64 {
	close(p.stop)
	p.done.Wait()
	return p.largest
}
