package meter

import (
	"sync"
	"time"
)

// MaxForeign is the share of the machine that others may use during a run that
// counts.
const MaxForeign = 0.10

// Usage is what happened on the machine during a Window.
type Usage struct {
	Elapsed time.Duration
	CPU     float64 // seconds, of the target
	Load    float64 // seconds, of the load tools and of this process
	Foreign float64 // share of the machine used by neither, 0 to 1
	Busy    float64 // share of the machine in use
	IOWait  float64 // share of the machine waiting for the disk
	Writes  float64 // write requests of the device
	Written float64 // KiB written to the device
	Flushes float64 // flushes of the device's cache
	Peak    Memory  // of the target
}

// Window is a measurement going on. Close ends it.
type Window struct {
	target  *Target
	disk    Disk
	tools   []int
	start   time.Time
	cpu     float64
	load    float64
	machine machine
	counted diskCount

	stop    chan struct{}
	sampler sync.WaitGroup
	peak    Memory // the sampler's until it has ended
}

// sampleEvery is how often memory is read. Reading two hundred processes takes
// some 20 ms, so not more often.
const sampleEvery = time.Second

// Open starts a window. Tools are processes of load tools that outlive it;
// those that start and end within it are counted anyway. A nil target is a run
// of the load tools alone.
func Open(target *Target, disk Disk, tools ...int) *Window {
	w := &Window{target: target, disk: disk, tools: tools, stop: make(chan struct{})}
	if target != nil {
		w.cpu = target.CPU()
		w.sampler.Go(w.sample)
	}
	w.load, w.machine, w.counted = w.loadCPU(), readMachine(), disk.count()
	w.start = time.Now()
	return w
}

func (w *Window) sample() {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		w.peak = w.peak.Most(w.target.Memory())
		select {
		case <-tick.C:
		case <-w.stop:
			w.peak = w.peak.Most(w.target.Memory())
			return
		}
	}
}

func (w *Window) loadCPU() float64 {
	sum := OwnCPU()
	for _, pid := range w.tools {
		sum += ProcessCPU(pid)
	}
	return sum
}

// Close ends the window and returns what was used in it.
func (w *Window) Close() Usage {
	used, counted := readMachine().since(w.machine), w.disk.count()
	u := Usage{
		Elapsed: time.Since(w.start),
		Load:    w.loadCPU() - w.load,
		Busy:    used.share(used.busy),
		IOWait:  used.share(used.iowait),
		Writes:  counted.writes - w.counted.writes,
		Written: counted.written - w.counted.written,
		Flushes: counted.flushes - w.counted.flushes,
	}
	if w.target != nil {
		u.CPU = w.target.CPU() - w.cpu
	}
	u.Foreign = used.share(max(0, used.busy-u.CPU-u.Load))
	close(w.stop)
	w.sampler.Wait()
	u.Peak = w.peak
	return u
}
