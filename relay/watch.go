package relay

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/config"
)

// watchInterval is how often watched files are looked at. Polling sees what
// inotify can't: Kubernetes swaps a symbolic link two levels up.
const watchInterval = 2 * time.Second

// watch looks at each interval whether a file has changed. It returns when ctx ends.
func (r *Relay) watch(ctx context.Context) {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		r.look()
	}
}

// look reloads what has changed. A configuration that was refused is tried again
// all the time: what it waits for, a file that it names or an address in use, is
// nothing that is watched.
func (r *Relay) look() {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	now := stat(r.rules.Load().config.Files())
	if differ(r.seen, now) {
		r.logger.Info("a watched file has changed")
		r.seen, r.refused = now, ""
	} else if r.refused == "" {
		return
	}
	_ = r.tryReload() // has logged its error
}

// read loads the configuration, and returns how its files were before: what is
// written to them meanwhile will be a change. known is a configuration that tells
// which files they may be.
func read(load func() (*config.Config, error), known *config.Config) (*config.Config, map[string]os.FileInfo, error) {
	for {
		seen := stat(known.Files())
		c, err := load()
		if err != nil || slices.Equal(c.Files(), known.Files()) {
			return c, seen, err
		}
		known = c
	}
}

// stat looks at files; one that can't be looked at is nil.
func stat(files []string) map[string]os.FileInfo {
	m := make(map[string]os.FileInfo, len(files))
	for _, file := range files {
		m[file], _ = os.Stat(file)
	}
	return m
}

// differ reports whether a file known before is another one now, or was
// written, appeared or vanished.
func differ(before, now map[string]os.FileInfo) bool {
	for file, b := range now {
		a, known := before[file]
		switch {
		case !known || a == nil && b == nil:
		case a == nil || b == nil:
			return true
		case !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime()):
			return true
		}
	}
	return false
}
