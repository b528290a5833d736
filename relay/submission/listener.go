package submission

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/handover"
)

const unixPrefix = "unix:"

// listener is one place where clients connect, as their sessions know it. But for
// retired it does not change: a reload makes another one.
type listener struct {
	conf config.Listener
	name string
	unix bool
	addr net.Addr
	// retired is set when a reload has removed or changed it: its sessions end
	// after the transaction that runs.
	retired atomic.Bool
}

// socket is an open address, and the listener that is there now.
type socket struct {
	net.Listener
	now atomic.Pointer[listener]
}

// newListener checks c once more: the configuration has been checked for this,
// but an open relay is worth a second look.
func newListener(c config.Listener, addr net.Addr) (*listener, error) {
	l := &listener{conf: c, name: c.Name, unix: c.Unix(), addr: addr}
	if l.name == "" {
		l.name = c.Address
	}
	switch {
	case (c.AllowInsecureAuth || c.Auth == config.AuthNone) && !c.Local():
		return nil, errors.New("auth: none and allow_insecure_auth are for loopback addresses and unix sockets")
	case c.Auth == config.AuthPeer && !l.unix:
		return nil, errors.New("auth: peer is for unix sockets")
	}
	return l, nil
}

// is reports whether l is what c describes.
func (l *listener) is(c config.Listener) bool { return reflect.DeepEqual(l.conf, c) }

// listen opens a place. A socket file whose owner is gone is replaced; one that
// answers, or any other file, is left alone. The address may overlap those of
// listeners that the caller is about to close.
func listen(ctx context.Context, c config.Listener, closing ...net.Listener) (*socket, error) {
	l, err := newListener(c, nil)
	if err != nil {
		return nil, err
	}
	k := new(socket)
	k.now.Store(l)
	if !l.unix {
		if k.Listener, err = handover.Listen(ctx, c.Address, closing...); err != nil {
			return nil, err
		}
		l.addr = k.Addr()
		return k, nil
	}
	path := strings.TrimPrefix(c.Address, unixPrefix)
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	if k.Listener, err = new(net.ListenConfig).Listen(ctx, "unix", path); err != nil {
		return nil, err
	}
	l.addr = k.Addr()
	if err := k.chmod(c.Auth); err != nil {
		_ = k.Close()
		return nil, err
	}
	return k, nil
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

// trusts reports whether addr is a proxy that must say for whom it connects.
func (l *listener) trusts(addr netip.Addr) bool {
	for _, p := range l.conf.ProxyProtocol {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
