package spool

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options are what a spool may be told. The zero Options suit a sidecar that
// has 64 MB.
type Options struct {
	// FS is where the files are; nil means the disk.
	FS vfs.FS
	// Memory is what the engine may use for what is not flushed yet and for
	// its block cache, in octets. 0 means 24 MiB.
	Memory int64
	// Logger hears of damage, lost and regained disks; nil means slog.Default().
	Logger *slog.Logger
	// Reserve is the space kept to get out of a full disk, in octets. 0 means
	// 8 MiB, negative none.
	Reserve int64
}

const (
	defaultMemory  = 24 << 20
	minMemory      = 4 << 20
	defaultReserve = 8 << 20
)

func (o Options) withDefaults() Options {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Memory == 0 {
		o.Memory = defaultMemory
	}
	o.Memory = max(o.Memory, minMemory)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Reserve == 0 {
		o.Reserve = defaultReserve
	}
	return o
}
