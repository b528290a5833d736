package spool

import (
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// tuning returns Pebble's options. The figures are for a queue that is mostly
// empty: what is delivered soon lives and dies in a memtable and never costs
// more than its place in the log.
func tuning(fs vfs.FS, o Options, log *engineLog) *pebble.Options {
	p := &pebble.Options{
		FS:     fs,
		Logger: log,
		Merger: merger,
		// Fixed, so that a newer Pebble doesn't make a directory that the
		// release before can't open.
		FormatMajorVersion: pebble.FormatValueSeparation,
		// A quarter of the memory for the memtable that is written, another for the
		// one that is flushed, and for a moment a third. Half is cache: what tells
		// where things lie must stay in it, or a million messages delivered in the
		// order they are due read 700 KB for each.
		MemTableSize:                uint64(o.Memory / 4),
		MemTableStopWritesThreshold: 3,
		CacheSize:                   o.Memory / 2,
		MaxOpenFiles:                256,
		// Few destinations have many dead entries each; compacting early keeps
		// scans of the schedule short. Writes stop late: a queue that refuses
		// mail because it tidies up is no use.
		L0CompactionThreshold: 2,
		L0StopWritesThreshold: 40,
		LBaseMaxBytes:         64 << 20,
		BytesPerSync:          1 << 20,
		// The log is written out by the sync of every commit; more would only
		// wait for the disk twice.
		WALBytesPerSync:            0,
		CompactionConcurrencyRange: func() (int, int) { return 1, 2 },
		// A table that is missing or cut short must not keep the others from being
		// read.
		DisableConsistencyCheck: true,
	}
	for i := range p.Levels {
		// Contents count as if they were in the tables. With the 2 MiB that Pebble
		// begins with a table would have the keys of 200 messages of 10 KB.
		p.TargetFileSizes[i] = 32 << 20
		p.Levels[i] = pebble.LevelOptions{
			BlockSize:    16 << 10,
			FilterPolicy: bloom.FilterPolicy(10),
			// What is flushed from memory is mostly rewritten or removed soon;
			// what gets further down stays for hours and is worth packing.
			Compression: func() *sstable.CompressionProfile {
				if i < 2 {
					return sstable.NoCompression
				}
				return sstable.SnappyCompression
			},
		}
	}
	p.Experimental.ValueSeparationPolicy = contentsApart
	p.Experimental.CompactionScheduler = log.compactions
	listener := log.listener()
	p.EventListener = &listener
	return p
}

// contentsApart keeps contents in files beside the tables, which hold where they
// are. Compactions then rewrite keys and records only: with a backlog of 10 KB
// messages that is half of what is written, and a third of the CPU of accepting.
func contentsApart() pebble.ValueSeparationPolicy {
	return pebble.ValueSeparationPolicy{
		Enabled:     true,
		MinimumSize: 1 << 10,
		// Compactions that meet many files would copy contents to bring them
		// together, for those who read them in order. Nobody does but Verify: ids
		// rise, so they are in order as they were written.
		MaxBlobReferenceDepth: math.MaxInt32,
		// What is delivered leaves holes. A file is written anew when a third
		// of it is holes, but not while its messages are still coming and going.
		RewriteMinimumAge:  time.Minute,
		TargetGarbageRatio: 1.0 / 3,
	}
}

// engineLog hands Pebble's messages to slog.
type engineLog struct {
	*slog.Logger
	fence       *fence
	compactions *compactions

	mu   sync.Mutex // guards told
	told map[string]bool
}

func newEngineLog(log *slog.Logger, f *fence) *engineLog {
	return &engineLog{Logger: log, fence: f, compactions: new(compactions), told: make(map[string]bool)}
}

// Infof drops what Pebble tells about its daily work.
func (l *engineLog) Infof(string, ...any) {}

// Errorf logs what goes wrong, unless it only follows from a closed fence.
func (l *engineLog) Errorf(format string, args ...any) {
	if l.fence.failure() == nil {
		l.Error("queue engine", "event", "engine", "err", fmt.Sprintf(format, args...))
	}
}

// Fatalf is called where Pebble can't go on. Behind a closed fence the
// generation is given up anyway. In front of it, it is a bug or damage that
// nothing can be built on: the process ends, and what is durable stays.
func (l *engineLog) Fatalf(format string, args ...any) {
	if l.fence.failure() == nil {
		panic("queue engine: " + fmt.Sprintf(format, args...))
	}
}

func (l *engineLog) listener() pebble.EventListener {
	return pebble.EventListener{
		BackgroundError: func(err error) { l.Errorf("background work: %s", firstLine(err)) },
		DataCorruption:  l.damaged,
		CompactionEnd:   func(info pebble.CompactionInfo) { l.compactions.ended(info.Err) },
		BlobFileRewriteEnd: func(info pebble.BlobFileRewriteInfo) {
			l.compactions.ended(info.Err)
		},
	}
}

// damaged tells of a table or a file of contents that can't be read in part, once
// for each: whatever comes upon it reads it again and again.
func (l *engineLog) damaged(info pebble.DataCorruptionInfo) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told[info.Path] || l.fence.failure() != nil {
		return
	}
	l.told[info.Path] = true
	l.Error("a file of the queue is damaged; `postrider queue verify` lists the messages in it, the others are delivered",
		"event", "queue_damaged", "where", info.Path, "what", firstLine(info.Details))
}

// firstLine is what an error of Pebble's says, without what it carries for
// programs.
func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}
