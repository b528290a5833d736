package submission

import (
	"net"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
)

// TestLastReplyIsRead: a client that is still sending when it hears its last reply is
// heard out before the connection is closed. Otherwise the kernel may throw the reply
// away.
func TestLastReplyIsRead(t *testing.T) {
	const sent = "GET / HTTP/1.1\r\n"
	body := strings.Repeat("x", 2*inputSize)
	for _, row := range []struct {
		why string
		act func(*Server, net.Conn)
	}{
		{"turned away at the door", func(s *Server, conn net.Conn) {
			s.turnAway(&listener{}, conn, replyTooManyConnections)
			s.accepts.Wait()
		}},
		{"expelled", func(s *Server, conn net.Conn) {
			s.admit(&listener{conf: config.Listener{Address: "127.0.0.1:0"}}, conn)
			s.running.Wait()
		}},
	} {
		t.Run(row.why, func(t *testing.T) {
			s := New(Options{Hostname: "x", Limits: testLimits})
			defer s.Close()
			conn := &farewell{drip: drip{wire: []byte(sent + body), step: inputSize}}
			row.act(s, conn)
			if conn.unheardAtHalf == 0 || conn.unheardAtClose != 0 {
				t.Errorf("%d octets were unread when our half was closed, and %d at the end", conn.unheardAtHalf, conn.unheardAtClose)
			}
		})
	}
}

// farewell is a connection that notes how much nobody has read when it is closed.
type farewell struct {
	drip
	unheardAtHalf, unheardAtClose int
}

func (f *farewell) RemoteAddr() net.Addr { return fromLoopback{}.RemoteAddr() }

func (f *farewell) CloseWrite() error {
	f.unheardAtHalf = len(f.wire)
	return nil
}

func (f *farewell) Close() error {
	f.unheardAtClose = len(f.wire)
	return nil
}
