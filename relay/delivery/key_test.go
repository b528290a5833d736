package delivery

import (
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/routing"
)

// TestReload: new settings count from the next attempt, and sessions that would be
// made otherwise by them are ended; others are kept.
func TestReload(t *testing.T) {
	ca, other := smtptest.NewAuthority(t), smtptest.NewAuthority(t)
	for _, row := range []struct {
		why    string
		change func(*Settings, *routing.Route)
		kept   bool
	}{
		{"nothing", func(*Settings, *routing.Route) {}, true},
		{"what does not concern sessions", func(s *Settings, r *routing.Route) {
			s.Delivery.RecipientsPerTransaction, r.DestinationConcurrency, r.Messages = 7, 3, config.Rate{Count: 9, Per: time.Second}
		}, true},
		{"our name", func(s *Settings, _ *routing.Route) { s.Hostname = "new.example.org" }, false},
		{"the route's name", func(_ *Settings, r *routing.Route) { r.Name = "another" }, false},
		{"TLS", func(_ *Settings, r *routing.Route) { r.TLS = config.RouteTLSRequire }, false},
		{"the user", func(_ *Settings, r *routing.Route) { r.Username = "second" }, false},
		{"the mechanisms", func(_ *Settings, r *routing.Route) { r.Mechanisms = []string{"LOGIN"} }, false},
		{"the password", func(_ *Settings, r *routing.Route) { r.Password = "longer" }, false},
		{"the authorities", func(_ *Settings, r *routing.Route) { r.Authorities = other.Pool() }, false},
	} {
		t.Run(row.why, func(t *testing.T) {
			p := smtptest.Start(t, smtptest.Script{TLS: ca.Server(t, "127.0.0.1"), Users: map[string]string{"relay": "first"}})
			r := smarthost(config.Route{Username: "relay", Password: "first", TLS: config.RouteTLSVerify}, hop("127.0.0.1", p.Addr()))
			r.route.Authorities = ca.Pool()
			c := courier(t, r, Timeouts{})
			if o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net"))); o.Results[0].Verdict != queue.Success {
				t.Fatalf("outcome: %+v", o)
			}
			route := *r.route
			now := &table{route: &route, hops: r.hops}
			s := settings(now)
			row.change(&s, &route)
			c.Reload(s)
			if !row.kept {
				if s := p.AwaitEnded(t, 1); !s[0].Quit {
					t.Errorf("session: %+v", s)
				}
				return
			}
			c.Deliver(t.Context(), now.towards(message(hello, "1@example.net")))
			if n := len(p.Sessions()); n != 1 || len(p.Messages()) != 2 {
				t.Errorf("%d sessions for %d messages", n, len(p.Messages()))
			}
		})
	}
}

// TestReloadedName is said by the next session.
func TestReloadedName(t *testing.T) {
	p := peer(t, nil)
	r := mx(hop("mx.example.net", p.Addr()))
	c := courier(t, r, Timeouts{})
	now := settings(r)
	now.Hostname = "new.example.org"
	c.Reload(now)
	c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
	if s := p.Sessions(); len(s) != 1 || s[0].Commands[0] != "EHLO new.example.org" {
		t.Errorf("sessions: %+v", s)
	}
}
