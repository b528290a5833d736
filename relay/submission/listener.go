package submission

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"

	"github.com/postrider/postrider/internal/config"
)

const unixPrefix = "unix:"

// listener is one open place where clients connect.
type listener struct {
	net.Listener
	conf config.Listener
	name string
	unix bool
}

// listen opens a place. A socket file whose owner is gone is replaced; one that
// answers, or any other file, is left alone.
func listen(ctx context.Context, c config.Listener) (*listener, error) {
	l := &listener{conf: c, name: c.Name}
	if l.name == "" {
		l.name = c.Address
	}
	if c.AllowInsecureAuth || c.Auth == config.AuthNone {
		// The configuration has been checked for this; an open relay is worth
		// a second look.
		if !isLocal(c.Address) {
			return nil, errors.New("auth: none and allow_insecure_auth are for loopback addresses and unix sockets")
		}
	}
	var lc net.ListenConfig
	var err error
	path, unix := strings.CutPrefix(c.Address, unixPrefix)
	if !unix {
		if c.Auth == config.AuthPeer {
			return nil, errors.New("auth: peer is for unix sockets")
		}
		l.Listener, err = lc.Listen(ctx, "tcp", c.Address)
		return l, err
	}
	l.unix = true
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	if l.Listener, err = lc.Listen(ctx, "unix", path); err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode(c.Auth)); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// socketMode returns who may connect. Where each client says or shows who it is
// everybody may; where the listener lends its own identity only the group.
func socketMode(a config.ListenerAuth) fs.FileMode {
	if a == config.AuthNone {
		return 0o660
	}
	return 0o666
}

// removeStale removes the socket file of a process that is gone.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s exists and is no socket", path)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return fmt.Errorf("%s is in use by another process", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// isLocal reports whether address can be reached from this host only.
func isLocal(address string) bool {
	if strings.HasPrefix(address, unixPrefix) {
		return true
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// trusts reports whether addr is a proxy that must say for whom it connects.
func (l *listener) trusts(addr netip.Addr) bool {
	for _, p := range l.conf.ProxyProtocol {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
