package smtptest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Distant returns a connection to what conn is connected to, with rtt added to
// the round trip. Closing it closes conn. It works with any net.Conn, and with
// net.Pipe in the time of a testing/synctest bubble.
func Distant(conn net.Conn, rtt time.Duration) net.Conn {
	near, far := net.Pipe()
	go carry(conn, far, rtt/2)
	go carry(far, conn, rtt/2)
	return near
}

// Proxy listens on a free port of 127.0.0.1 and adds rtt to the round trip to
// target, until the test ends.
func Proxy(t testing.TB, target string, rtt time.Duration) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			onward, err := net.Dial("tcp", target)
			if err != nil {
				conn.Close()
				continue
			}
			running.Go(func() { carry(onward, conn, rtt/2) })
			running.Go(func() { carry(conn, onward, rtt/2) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return l.Addr()
}

// piece is what was read at once, and when it is to arrive.
type piece struct {
	octets []byte
	due    time.Time
}

// carry moves octets from one connection to the other, each piece late by delay,
// and closes both when either ends.
func carry(to, from net.Conn, delay time.Duration) {
	pieces := make(chan piece, 1024)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer to.Close()
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.octets); err != nil {
				from.Close()
				for range pieces {
				}
				return
			}
		}
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			pieces <- piece{append([]byte(nil), buffer[:n]...), time.Now().Add(delay)}
		}
		if err != nil {
			if err != io.EOF {
				from.Close()
			}
			close(pieces)
			<-done
			return
		}
	}
}
