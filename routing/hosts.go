package routing

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// etcHosts is where hosts(5) are; in containers hostAliases are put there.
const etcHosts = "/etc/hosts"

// maxHosts bounds the names taken from it.
const maxHosts = 10_000

// hostsFile knows the names in a hosts(5) file, which is read again when it
// changes. They count for smarthosts, which the operator names, and not for
// exchangers, which the world does.
type hostsFile struct {
	mu    sync.Mutex // guards what follows
	file  watchedFile
	names map[string][]netip.Addr
}

func newHostsFile(path string) *hostsFile {
	return &hostsFile{file: watchedFile{path: path}}
}

// lookup returns the addresses of name, if the file has it.
func (h *hostsFile) lookup(name string) []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	if text, changed := h.file.read(time.Now()); changed {
		h.names = parseHosts(text)
	}
	return h.names[name]
}

func parseHosts(text string) map[string][]netip.Addr {
	names := map[string][]netip.Addr{}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(f[0])
		if err != nil || !usable(addr) {
			continue
		}
		for _, name := range f[1:] {
			name = canonical(name)
			if len(names) < maxHosts && !slices.Contains(names[name], addr) {
				names[name] = append(names[name], addr)
			}
		}
	}
	return names
}
