package submission

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/smtptest"
)

// reloaded puts a change of what start began with in force.
func (b *bench) reloaded(t *testing.T, change func(*Reloadable)) {
	t.Helper()
	apply, err := b.Prepare(t.Context(), b.reloadable(change))
	if err != nil {
		t.Fatal(err)
	}
	apply()
}

func (b *bench) reloadable(change func(*Reloadable)) Reloadable {
	o := b.Server.opt
	r := Reloadable{Hostname: o.Hostname, Listeners: append([]config.Listener(nil), o.Listeners...), Limits: o.Limits, MaxFailures: o.MaxFailures}
	change(&r)
	return r
}

// dialAt connects to an address and reads the greeting.
func dialAt(t *testing.T, addr net.Addr) *client {
	t.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	c := newClient(t, conn)
	c.want("220 ")
	return c
}

// TestReloadOfLimits: sessions that are open take new limits with their next
// transaction, not within one.
func TestReloadOfLimits(t *testing.T) {
	b := start(t, nil)
	c, fresh := b.dial(t), b.dial(t)
	c.login()
	c.do("MAIL FROM:<a@example.com>", "250 ")
	c.do("RCPT TO:<b@example.net>", "250 ")
	b.reloaded(t, func(r *Reloadable) {
		r.Limits.MaxRecipients, r.Limits.MaxMessageSize, r.MaxFailures = 1, 500, 1
	})
	c.do("RCPT TO:<c@example.net>", "250 ")
	c.do("DATA", "354 ")
	c.send("x: y\r\n\r\n" + strings.Repeat("z", 900) + "\r\n.\r\n")
	c.want("250 ")
	c.do("MAIL FROM:<a@example.com>", "250 ")
	c.do("RCPT TO:<b@example.net>", "250 ")
	c.do("RCPT TO:<c@example.net>", "452 4.5.3 ")
	c.do("RSET", "250 ")
	c.do("MAIL FROM:<a@example.com> SIZE=501", "552 5.3.4 ")

	if ehlo := fresh.do("EHLO x", "250-"); !strings.Contains(ehlo, "SIZE 500\n") {
		t.Errorf("the old size is still offered: %q", ehlo)
	}
	fresh.do("AUTH PLAIN AGFsaWNlAHdyb25n", "535 ")
	fresh.want("421 4.7.0 ")
}

// TestReloadOfHostname: who connects is greeted with the new name, and trace
// fields have it.
func TestReloadOfHostname(t *testing.T) {
	b := start(t, nil)
	old := b.dial(t)
	old.login()
	b.reloaded(t, func(r *Reloadable) { r.Hostname = "new.example.com" })
	c := b.connect(t)
	c.want("220 new.example.com ")
	old.begin()
	old.send("x: y\r\n\r\n.\r\n")
	old.want("250 ")
	if m := b.queue.all(); len(m) != 1 || !strings.Contains(m[0].content, "\tby new.example.com ") {
		t.Errorf("queued: %+v", m)
	}
}

// TestReloadOfListeners: an added listener serves, a removed one ends its
// sessions after their transactions, one that stays is not disturbed.
func TestReloadOfListeners(t *testing.T) {
	stays := config.Listener{Name: "stays", Address: "127.0.0.1:0", TLS: config.TLSStartTLS, Auth: config.AuthRequired, AllowInsecureAuth: true}
	goes := stays
	goes.Name, goes.Address = "goes", "127.0.0.2:0"
	comes := stays
	comes.Name, comes.Address = "comes", "127.0.0.3:0"
	b := start(t, func(o *Options, _ *bench) { o.Listeners = []config.Listener{stays, goes} })
	was := b.Addrs()
	undisturbed, idle, busy := dialAt(t, was[0]), dialAt(t, was[1]), dialAt(t, was[1])
	undisturbed.login()
	idle.login()
	busy.login()
	busy.begin()

	b.reloaded(t, func(r *Reloadable) { r.Listeners = []config.Listener{comes, stays} })
	idle.want("421 4.3.2 Configuration has changed")
	idle.closed()
	if _, err := net.Dial("tcp", was[1].String()); err == nil {
		t.Error("the removed listener is still open")
	}
	busy.send("x: y\r\n\r\n.\r\n")
	busy.want("250 2.0.0 queued")
	busy.want("421 4.3.2 ")
	busy.closed()
	undisturbed.begin()

	is := b.Addrs()
	if len(is) != 2 || is[1].String() != was[0].String() {
		t.Fatalf("addresses %v, want the new one and %v", is, was[0])
	}
	fresh := dialAt(t, is[0])
	fresh.login()
	fresh.begin()
	fresh.send("x: y\r\n\r\n.\r\n")
	fresh.want("250 2.0.0 queued")
	if e := b.queue.all()[1].envelope; e.Identity.Listener != "comes" {
		t.Errorf("queued by listener %q", e.Identity.Listener)
	}
}

// TestReloadOfAListener: what a listener demands is demanded of the next client
// at the same socket; whom it had let in under other rules has to go.
func TestReloadOfAListener(t *testing.T) {
	b := start(t, func(o *Options, _ *bench) { o.Listeners[0].Auth = config.AuthNone })
	inside := b.dial(t)
	inside.do("EHLO x", "250-")
	was := b.Addrs()[0].String()
	b.reloaded(t, func(r *Reloadable) { r.Listeners[0].Auth = config.AuthRequired })
	inside.want("421 4.3.2 ")
	inside.closed()
	if is := b.Addrs()[0].String(); is != was {
		t.Errorf("the socket has moved from %s to %s", was, is)
	}
	c := b.dial(t)
	c.do("EHLO x", "250-")
	c.do("MAIL FROM:<a@example.com>", "530 5.7.0 ")
	b.reloaded(t, func(r *Reloadable) { r.Listeners[0].Auth = config.AuthRequired }) // nothing new
	c.do("NOOP", "250 ")
}

// TestReloadOfAnOverlappingAddress: a listener moves from one address to all of
// them, and back, without a restart.
func TestReloadOfAnOverlappingAddress(t *testing.T) {
	one := smtptest.FreeAddress(t)
	_, port, _ := net.SplitHostPort(one)
	all := ":" + port
	b := start(t, func(o *Options, _ *bench) {
		o.Listeners[0].Address, o.Listeners[0].AllowInsecureAuth = all, false
	})
	for _, to := range []string{one, all, one} {
		inside := b.dial(t)
		b.reloaded(t, func(r *Reloadable) { r.Listeners[0].Address = to })
		inside.want("421 4.3.2 ")
		b.dial(t).do("EHLO x", "250-")
		if got := b.Addrs()[0].String(); !strings.HasSuffix(got, ":"+port) {
			t.Errorf("after the move to %s it listens at %s", to, got)
		}
	}
	if elsewhere, err := net.Listen("tcp", "127.0.0.2:"+port); err != nil {
		t.Errorf("after the move to %s others are open too: %v", one, err)
	} else {
		elsewhere.Close()
	}
}

// TestReloadIsAllOrNothing: if one listener can't be opened, nothing has
// happened.
func TestReloadIsAllOrNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	path := filepath.Join(dir, "here")
	b := start(t, func(o *Options, _ *bench) {
		o.Listeners = append(o.Listeners, config.Listener{Address: unixPrefix + path, TLS: config.TLSNone, Auth: config.AuthPeer})
	})
	c := b.dial(t)
	for _, broken := range []struct {
		why, address string
	}{
		{"somebody else's port", taken.Addr().String()},
		{"no such directory", unixPrefix + filepath.Join(dir, "no", "socket")},
	} {
		added := filepath.Join(dir, "added")
		_, err := b.Prepare(t.Context(), b.reloadable(func(r *Reloadable) {
			r.Limits.MaxMessageSize = 1
			r.Listeners[1].Auth = config.AuthNone
			r.Listeners = append(r.Listeners,
				config.Listener{Address: unixPrefix + added, TLS: config.TLSNone, Auth: config.AuthPeer},
				config.Listener{Address: broken.address, TLS: config.TLSStartTLS, Auth: config.AuthRequired})
		}))
		if err == nil || !strings.Contains(err.Error(), broken.address) {
			t.Fatalf("%s: error %v, want one that names %s", broken.why, err, broken.address)
		}
		if _, err := os.Stat(added); err == nil {
			t.Errorf("%s: the socket of the other listener is still there", broken.why)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
			t.Errorf("%s: the socket that was there is %v, %v", broken.why, info, err)
		}
	}
	if ehlo := c.do("EHLO x", "250-"); !strings.Contains(ehlo, "SIZE 1048576\n") {
		t.Errorf("a limit of the refused change is in force: %q", ehlo)
	}
	b.dial(t)
}

// TestReloadOfAUnixSocket: who may connect follows what the listener lends.
func TestReloadOfAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	b := start(t, func(o *Options, _ *bench) {
		o.Listeners = []config.Listener{{Address: unixPrefix + path, TLS: config.TLSNone, Auth: config.AuthPeer}}
	})
	for _, auth := range []config.ListenerAuth{config.AuthNone, config.AuthPeer} {
		b.reloaded(t, func(r *Reloadable) { r.Listeners[0].Auth = auth })
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode(auth) {
			t.Errorf("auth: %s: the socket is %v, %v", auth, info, err)
		}
		b.dial(t)
	}
}

// TestReloadAfterClose opens nothing that nobody would close.
func TestReloadAfterClose(t *testing.T) {
	b := start(t, nil)
	apply, err := b.Prepare(t.Context(), b.reloadable(func(r *Reloadable) { r.Listeners[0].Address = "127.0.0.2:0" }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := contextFor(t, time.Minute)
	defer cancel()
	if err := b.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	apply()
}
