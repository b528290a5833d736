package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
)

// portTries bounds the search for one free port.
const portTries = 1000

// FreePorts returns TCP ports of 127.0.0.1 that nobody listens on. They lie below
// those that connections get by themselves: a hundred thousand attempts at a
// receiver that is down would sooner or later take its own port. Another program may
// take one before it is used, which then shows as a start that fails.
func FreePorts(n int) ([]uint16, error) {
	const lowest = 10000
	limit, err := firstEphemeral()
	if err != nil {
		return nil, err
	}
	if limit <= lowest {
		return nil, fmt.Errorf("no ports between %d and those of outgoing connections, which begin at %d", lowest, limit)
	}
	ports := make([]uint16, n)
	for i := range ports {
		l, err := listenBetween(lowest, limit)
		if err != nil {
			return nil, err
		}
		defer l.Close() // held until all are chosen, so that they differ
		ports[i] = uint16(l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// listenBetween listens on a free port from low up to, not including, high.
func listenBetween(low, high int) (l net.Listener, err error) {
	for range portTries {
		l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", low+rand.IntN(high-low)))
		if !errors.Is(err, syscall.EADDRINUSE) {
			break
		}
	}
	return l, err
}

// firstEphemeral returns the first port the system gives to outgoing connections.
func firstEphemeral() (int, error) {
	const file = "/proc/sys/net/ipv4/ip_local_port_range"
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	var first int
	if _, err := fmt.Sscan(string(b), &first); err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return first, nil
}
