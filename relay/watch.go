package relay

import (
	"context"
	"os"
	"time"
)

// watchInterval is how often watched files are looked at. Polling sees what
// inotify can't: Kubernetes swaps a symbolic link two levels up.
const watchInterval = 2 * time.Second

// watch calls look at each interval and says whether any of the files that list
// names differs from what it was. list is asked each time, for a reload may name
// other files. It returns when ctx ends.
func watch(ctx context.Context, list func() []string, look func(changed bool)) {
	seen := stat(list())
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := stat(list())
		look(differ(seen, now))
		seen = now
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
