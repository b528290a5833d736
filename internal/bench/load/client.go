package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"time"
)

// patience is how long a client waits for any one reply.
const patience = 60 * time.Second

// Credentials log in with AUTH PLAIN.
type Credentials struct{ User, Password string }

// client is one SMTP connection that, like smtp-source, waits for each reply
// before the next command. It is no more than a load tool needs.
type client struct {
	conn    net.Conn
	r       *bufio.Reader
	buf     []byte      // reused for messages
	release func() bool // of the watch over the context
}

// connect opens a connection and goes as far as MAIL may follow.
func connect(ctx context.Context, address string, startTLS bool, login *Credentials) (*client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, r: bufio.NewReaderSize(conn, 1024)}
	c.release = context.AfterFunc(ctx, func() { conn.Close() })
	if err := c.hello(startTLS, login); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *client) hello(startTLS bool, login *Credentials) error {
	if err := c.expect(220); err != nil {
		return err
	}
	if err := c.command(250, "EHLO bench.example"); err != nil {
		return err
	}
	if startTLS {
		if err := c.encrypt(); err != nil {
			return err
		}
	}
	if login == nil {
		return nil
	}
	token := base64.StdEncoding.EncodeToString([]byte("\x00" + login.User + "\x00" + login.Password))
	return c.command(235, "AUTH PLAIN "+token)
}

// encrypt upgrades the connection. The certificate is the harness's own and not
// checked; no session is resumed, so every connection pays for a full handshake.
func (c *client) encrypt() error {
	if err := c.command(220, "STARTTLS"); err != nil {
		return err
	}
	conn := tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true, ServerName: "relay.example"})
	c.conn, c.r = conn, bufio.NewReaderSize(conn, 1024)
	return c.command(250, "EHLO bench.example")
}

// transact sends the envelope and DATA, then the message; before is called just
// before its last octets are written.
func (c *client) transact(from string, to []string, message []byte, before func()) error {
	if err := c.command(250, "MAIL FROM:<"+from+">"); err != nil {
		return err
	}
	for _, rcpt := range to {
		if err := c.command(250, "RCPT TO:<"+rcpt+">"); err != nil {
			return err
		}
	}
	if err := c.command(354, "DATA"); err != nil {
		return err
	}
	c.conn.SetDeadline(time.Now().Add(patience))
	body, end := message[:len(message)-len("\r\n.\r\n")], message[len(message)-len("\r\n.\r\n"):]
	if len(message) <= 64<<10 {
		body, end = nil, message // one write, as any client would
	}
	if len(body) > 0 {
		if _, err := c.conn.Write(body); err != nil {
			return err
		}
	}
	before()
	if _, err := c.conn.Write(end); err != nil {
		return err
	}
	return c.expect(250)
}

func (c *client) close() {
	c.release()
	c.conn.Close()
}

func (c *client) quit() error {
	defer c.close()
	return c.command(221, "QUIT")
}

func (c *client) command(want int, line string) error {
	c.conn.SetDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write([]byte(line + "\r\n")); err != nil {
		return err
	}
	if err := c.expect(want); err != nil {
		return fmt.Errorf("%.20q: %w", line, err)
	}
	return nil
}

// expect reads a reply of one or more lines (RFC 5321 section 4.2.1).
func (c *client) expect(want int) error {
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) < 4 {
			return fmt.Errorf("reply %q is no reply", line)
		}
		if line[3] == '-' {
			continue
		}
		if code := int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0'); code != want {
			return fmt.Errorf("wanted %d, got %q", want, line)
		}
		return nil
	}
}
