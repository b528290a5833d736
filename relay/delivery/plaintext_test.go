package delivery

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
)

// TestBrokenTLSIsRemembered: a host whose opportunistic handshake fails costs two
// connections once, and one from then on.
func TestBrokenTLSIsRemembered(t *testing.T) {
	broken := smtptest.Start(t, smtptest.Script{TLS: smtptest.NewAuthority(t).Server(t, "x"), On: map[smtptest.Step]smtptest.Actor{
		smtptest.StartTLS: smtptest.Do(smtptest.Action{Reply: "220 go", Close: true}),
	}})
	r := mx(hop("mx.example.net", broken.Addr()))
	c := courier(t, r, Timeouts{})
	for _, sessions := range []int{2, 3} {
		o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
		if o.Results[0].Verdict != queue.Success || o.Event.TLS != "" || o.Event.Err == nil {
			t.Fatalf("outcome: %+v", o)
		}
		c.cache.drop(func(*session) bool { return true })
		if n := len(broken.Sessions()); n != sessions {
			t.Errorf("%d sessions, want %d", n, sessions)
		}
	}
	c.Reload(settings(r))
	c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
	if n := len(broken.Sessions()); n != 5 {
		t.Errorf("%d sessions after a reload, want 5: TLS is to be tried again", n)
	}
}

// TestBrokenTLSIsForgotten after a while: the host may have been mended.
func TestBrokenTLSIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p plaintext
		broken := endpoint{"mx.example.net", 25}
		p.add(broken, errors.New("no common cipher"))
		time.Sleep(10 * time.Minute)
		if p.why(broken) == nil {
			t.Error("TLS is tried again within ten minutes")
		}
		time.Sleep(time.Second)
		if err := p.why(broken); err != nil {
			t.Errorf("after ten minutes: %v", err)
		}
	})
}
