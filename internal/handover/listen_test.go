package handover

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestListen(t *testing.T) {
	for _, c := range []struct{ why, from, to string }{
		{"from all addresses to one", "", "127.0.0.1"},
		{"from one address to all", "127.0.0.1", ""},
		{"the same address", "127.0.0.1", "127.0.0.1"},
	} {
		t.Run(c.why, func(t *testing.T) {
			old := open(t, net.JoinHostPort(c.from, "0"))
			_, port, _ := net.SplitHostPort(old.Addr().String())
			address := net.JoinHostPort(c.to, port)
			if _, err := Listen(t.Context(), address); !errors.Is(err, syscall.EADDRINUSE) {
				t.Fatalf("an address of somebody else: %v", err)
			}
			other := open(t, "127.0.0.1:0")
			l, err := Listen(t.Context(), address, other, old)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if _, err := net.Listen("tcp", address); !errors.Is(err, syscall.EADDRINUSE) {
				t.Errorf("others may share it: %v", err)
			}
			old.Close()
			go func() {
				if conn, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
					conn.Close()
				}
			}()
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		})
	}
}

func open(t *testing.T, address string) net.Listener {
	l, err := Listen(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
