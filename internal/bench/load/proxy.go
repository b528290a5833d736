package load

import (
	"io"
	"net"
	"sync"
	"time"
)

// Proxy stands before a receiver and makes it distant: every octet takes half of
// the round-trip time in each direction, and setting up a connection takes what
// a TCP handshake would.
type Proxy struct {
	listener  net.Listener
	target    string
	roundTrip time.Duration
	serving   sync.WaitGroup
	mu        sync.Mutex
	conns     map[net.Conn]bool // guarded by mu; nil once closed
}

// NewProxy listens on a loopback address of its own.
func NewProxy(target string, roundTrip time.Duration) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, roundTrip: roundTrip, conns: map[net.Conn]bool{}}
	return p, nil
}

// Address is where clients connect.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Serve takes connections until Close.
func (p *Proxy) Serve() {
	p.serving.Go(func() {
		for {
			conn, err := p.listener.Accept()
			if err != nil {
				return // closed
			}
			p.serving.Go(func() { p.join(conn) })
		}
	})
}

// Close ends all connections and waits for what served them.
func (p *Proxy) Close() {
	p.listener.Close()
	p.mu.Lock()
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	for conn := range conns {
		conn.Close()
	}
	p.serving.Wait()
}

func (p *Proxy) track(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		conn.Close()
		return false
	}
	p.conns[conn] = true
	return true
}

func (p *Proxy) forget(conn net.Conn) {
	conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
}

// join connects client with the target. The client's connect returned at once;
// over a real distance the receiver would know of it one and a half round trips
// after the first segment, so that is when the target is called.
func (p *Proxy) join(client net.Conn) {
	if !p.track(client) {
		return
	}
	defer p.forget(client)
	time.Sleep(p.roundTrip * 3 / 2)
	server, err := net.Dial("tcp", p.target)
	if err != nil || !p.track(server) {
		return
	}
	defer p.forget(server)
	var both sync.WaitGroup
	both.Go(func() { p.carry(server, client) })
	both.Go(func() { p.carry(client, server) })
	both.Wait()
}

// parcel is what was read at once and when it may be handed over. An empty one
// is the end of the stream.
type parcel struct {
	octets []byte
	due    time.Time
}

// inFlight bounds the parcels on the way in one direction.
const inFlight = 256

// carry copies one direction, each read delayed by half the round trip.
func (p *Proxy) carry(to, from net.Conn) {
	line := make(chan parcel, inFlight)
	gone := make(chan struct{}) // the writer has given up
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(line)
		for {
			octets := make([]byte, 32<<10)
			n, err := from.Read(octets)
			select {
			case line <- parcel{octets[:n], time.Now().Add(p.roundTrip / 2)}:
			case <-gone:
				return
			}
			if err != nil {
				return
			}
		}
	})
	for next := range line {
		time.Sleep(time.Until(next.due))
		if _, err := to.Write(next.octets); err != nil {
			break
		}
	}
	close(gone)
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	if _, err := io.Copy(io.Discard, from); err != nil {
		from.Close()
	}
	reading.Wait()
}
