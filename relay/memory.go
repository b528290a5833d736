package relay

import (
	"os"
	"runtime/debug"

	"github.com/postrider/postrider/internal/config"
)

// limitMemory tells Go's collector what the whole process is to get by with. A
// limit in the environment (GOMEMLIMIT) is the operator's own and stays.
//
// A tenth is left for what the collector can't see: the program's text and what
// the kernel holds for its sockets. The limit makes the collector work harder
// near it; it makes no allocation fail.
func limitMemory(memory config.Size) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(memory) / 10 * 9)
	}
}
