package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider/postrider/internal/config"
)

// Control is the control socket: HTTP with JSON over a unix socket, for the
// commands of the same binary. It is no interface for other programs; those use
// the commands' --json.
type Control struct {
	http     http.Server
	listener net.Listener
	path     string
	done     chan struct{}
}

// OpenControl opens the control socket in a state directory and serves it until
// Stop. A socket that a crash has left there is replaced, so the caller must hold
// the lock on the directory.
func OpenControl(stateDir string, b Backend, log *slog.Logger) (*Control, error) {
	path := config.ControlSocket(stateDir)
	l, err := bindPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	c := &Control{listener: l, path: path, done: make(chan struct{}), http: http.Server{
		Handler:           b.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	go func() {
		defer close(c.done)
		if err := c.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the control socket stopped", "error", err)
		}
	}()
	return c, nil
}

// bindPrivate binds a unix socket that never, not even for a moment, is open to
// others: it is made in a directory of its own, and moved when its mode is 0600.
func bindPrivate(path string) (net.Listener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), "c")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	first := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: first, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(first, 0o600); err == nil {
		err = os.Rename(first, path)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Stop closes the socket, lets running commands finish until ctx ends, and waits
// for its goroutine.
func (c *Control) Stop(ctx context.Context) error {
	err := c.http.Shutdown(ctx)
	if err != nil {
		err = c.http.Close()
	}
	<-c.done
	if gone := os.Remove(c.path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}
