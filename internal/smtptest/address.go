package smtptest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// Ports that FreeAddress takes lie below those that systems give to outgoing
// connections: between its look and the test's use one of those would be taken.
const (
	firstPort = 10_000
	ports     = 22_000
)

var lastPort atomic.Uint32 // counts from a place of chance, so that processes differ

func init() { lastPort.Store(rand.Uint32N(ports)) }

// FreeAddress returns a loopback address at which nothing listened just now, and
// another one each time.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range ports {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+lastPort.Add(1)%ports)
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}
