package submission

import (
	"bufio"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
)

// client speaks SMTP by hand.
type client struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

// dial connects and reads the greeting.
func (b *bench) dial(t testing.TB) *client {
	t.Helper()
	c := b.connect(t)
	c.want("220 ")
	return c
}

// connect connects and reads nothing.
func (b *bench) connect(t testing.TB) *client {
	t.Helper()
	addr := b.Addrs()[0]
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return newClient(t, conn)
}

// pipe connects to a listener without a network, so that synctest knows who waits.
func (b *bench) pipe(t testing.TB, conf config.Listener) *client {
	t.Helper()
	l, err := newListener(conf, nil)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = ours.Close() })
	b.admit(l, fromLoopback{theirs})
	return newClient(t, ours)
}

// fromLoopback is a connection of a client on this host.
type fromLoopback struct{ net.Conn }

func (fromLoopback) RemoteAddr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
}

func newClient(t testing.TB, conn net.Conn) *client {
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{t: t, conn: conn, r: bufio.NewReader(conn)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := c.conn.Write([]byte(s)); err != nil {
		c.t.Fatalf("sending %.60q: %v", s, err)
	}
}

// reply reads a whole reply, its lines separated by "\n".
func (c *client) reply() string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("reading a reply after %q: %v", lines, err)
		}
		line = strings.TrimSuffix(line, "\r\n")
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "\n")
		}
	}
}

// want reads a reply that begins with prefix.
func (c *client) want(prefix string) string {
	c.t.Helper()
	r := c.reply()
	if !strings.HasPrefix(r, prefix) {
		c.t.Fatalf("got reply %q, want %q", r, prefix)
	}
	return r
}

// do sends a command and wants a reply.
func (c *client) do(command, prefix string) string {
	c.t.Helper()
	c.send(command + "\r\n")
	return c.want(prefix)
}

// closed wants the server to have closed the connection.
func (c *client) closed() {
	c.t.Helper()
	if b, err := c.r.ReadByte(); err == nil {
		rest, _ := c.r.Peek(c.r.Buffered())
		c.t.Fatalf("got %q, want the connection closed", string(b)+string(rest))
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.t.Fatal("the connection is still open")
	}
}

// alicePlain is her initial response.
const alicePlain = "AGFsaWNlAHNlY3JldA=="

// login says EHLO and logs in as alice.
func (c *client) login() {
	c.t.Helper()
	c.do("EHLO client.example", "250-")
	c.do("AUTH PLAIN "+alicePlain, "235 2.7.0")
}

// secure does STARTTLS.
func (c *client) secure() {
	c.t.Helper()
	c.do("STARTTLS", "220 2.0.0")
	c.encrypt()
}

func (c *client) encrypt() {
	c.t.Helper()
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
	if err := conn.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.conn, c.r = conn, bufio.NewReader(conn)
}

// begin goes as far as the answer to DATA.
func (c *client) begin() {
	c.t.Helper()
	c.do("MAIL FROM:<a@example.com>", "250 2.1.0")
	c.do("RCPT TO:<b@example.net>", "250 2.1.5")
	c.do("DATA", "354 ")
}
