package config

import (
	"net"
	"net/netip"
	"strings"
)

const unixPrefix = "unix:"

// Unix reports whether l listens on a unix socket.
func (l *Listener) Unix() bool { return strings.HasPrefix(l.Address, unixPrefix) }

// Network returns what net.Listen wants: "tcp" and host:port, or "unix" and a
// path.
func (l *Listener) Network() (network, address string) {
	if path, ok := strings.CutPrefix(l.Address, unixPrefix); ok {
		return "unix", path
	}
	return "tcp", l.Address
}

// Local reports whether only this machine (or pod) can reach l: a unix socket or
// a loopback address.
func (l *Listener) Local() bool {
	if l.Unix() {
		return true
	}
	host, _, err := net.SplitHostPort(l.Address)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
