package routing

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// resolvConf names the system's DNS servers.
const resolvConf = "/etc/resolv.conf"

// Times of the list of servers.
const (
	serverPenalty = 30 * time.Second // how long a server that failed is asked last
	fileInterval  = time.Second      // how often a file is looked at for changes
	maxServers    = 6
	maxFile       = 1 << 20 // octets read of a system file
)

// servers is the list of DNS servers, those that failed lately last.
type servers struct {
	fixed bool
	file  *watchedFile

	mu     sync.Mutex // guards what follows
	list   []netip.AddrPort
	downTo map[netip.AddrPort]time.Time
}

// newServers uses list, or, if that is empty, what the file in the form of
// resolv.conf(5) says whenever it is asked.
func newServers(list []netip.AddrPort, file string) *servers {
	return &servers{
		fixed:  len(list) > 0,
		file:   &watchedFile{path: file},
		list:   slices.Clone(list),
		downTo: map[netip.AddrPort]time.Time{},
	}
}

// order returns the servers in the order they are to be asked.
func (s *servers) order() []netip.AddrPort {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.fixed {
		if text, changed := s.file.read(now); changed {
			s.list = parseResolvConf(text)
			clear(s.downTo)
		}
	}
	list := slices.Clone(s.list)
	slices.SortStableFunc(list, func(a, b netip.AddrPort) int {
		return rank(s.downTo[a].After(now)) - rank(s.downTo[b].After(now))
	})
	return list
}

// rank orders what is well before what has failed.
func rank(failing bool) int {
	if failing {
		return 1
	}
	return 0
}

func (s *servers) failed(server netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.list, server) {
		s.downTo[server] = time.Now().Add(serverPenalty)
	}
}

func (s *servers) answered(server netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.downTo, server)
}

// parseResolvConf returns the servers that text names; without any it is the
// loopback, as resolv.conf(5) says. Search lists and options don't concern us.
func parseResolvConf(text string) []netip.AddrPort {
	var list []netip.AddrPort
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "nameserver" || len(list) == maxServers {
			continue
		}
		if addr, err := netip.ParseAddr(f[1]); err == nil {
			list = append(list, netip.AddrPortFrom(addr, 53))
		}
	}
	if len(list) == 0 {
		list = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[::1]:53")}
	}
	return list
}

// watchedFile is a small file that is read again when it has changed.
type watchedFile struct {
	path    string
	looked  time.Time
	changed time.Time
	size    int64
}

// read returns the text if it is not what it was the last time; the first time
// it always is. A missing file is empty.
func (f *watchedFile) read(now time.Time) (string, bool) {
	first := f.looked.IsZero()
	if !first && now.Sub(f.looked) < fileInterval {
		return "", false
	}
	f.looked = now
	info, err := os.Stat(f.path)
	if err != nil {
		gone := f.size != 0 || !f.changed.IsZero()
		f.size, f.changed = 0, time.Time{}
		return "", first || gone
	}
	if !first && info.Size() == f.size && info.ModTime().Equal(f.changed) {
		return "", false
	}
	f.size, f.changed = info.Size(), info.ModTime()
	if f.size > maxFile {
		return "", true
	}
	text, err := os.ReadFile(f.path)
	if err != nil {
		return "", true
	}
	return string(text), true
}
