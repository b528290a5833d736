package delivery

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
)

// TestReload: new settings count from the next attempt, and sessions that would be
// made otherwise by them are ended; others are kept.
func TestReload(t *testing.T) {
	ca, other := smtptest.NewAuthority(t), smtptest.NewAuthority(t)
	files := t.TempDir()
	password, authorities := filepath.Join(files, "password"), filepath.Join(files, "ca.pem")
	put := func(file, from, content string) {
		if from != "" {
			b, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			content = string(b)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		why    string
		change func(*Settings, *config.Route)
		kept   bool
	}{
		{"nothing", func(*Settings, *config.Route) {}, true},
		{"what does not concern sessions", func(s *Settings, r *config.Route) {
			s.Delivery.RecipientsPerMessage, r.Concurrency, r.Messages = 7, 3, config.Rate{Count: 9, Per: time.Second}
		}, true},
		{"our name", func(s *Settings, _ *config.Route) { s.Hostname = "new.example.org" }, false},
		{"the route's name", func(_ *Settings, r *config.Route) { r.Name = "another" }, false},
		{"TLS", func(_ *Settings, r *config.Route) { r.TLS = config.RouteTLSRequire }, false},
		{"the user", func(_ *Settings, r *config.Route) { r.Username = "second" }, false},
		{"the mechanisms", func(_ *Settings, r *config.Route) { r.Mechanisms = []string{"LOGIN"} }, false},
		{"the password", func(*Settings, *config.Route) { put(password, "", "longer") }, false},
		{"a password that can't be read", func(*Settings, *config.Route) { os.Remove(password) }, false},
		{"the authorities", func(*Settings, *config.Route) { put(authorities, other.File(t), "") }, false},
	} {
		t.Run(row.why, func(t *testing.T) {
			put(password, "", "first")
			put(authorities, ca.File(t), "")
			p := smtptest.Start(t, smtptest.Script{TLS: ca.Server(t, "127.0.0.1"), Users: map[string]string{"relay": "first"}})
			route := config.Route{Name: "provider", Username: "relay", PasswordFile: password, CAFile: authorities, TLS: config.RouteTLSVerify}
			r := smarthost(route, hop("127.0.0.1", p.Addr()))
			c := courier(t, r, Timeouts{})
			if o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net"))); o.Results[0].Verdict != queue.Success {
				t.Fatalf("outcome: %+v", o)
			}
			s := Settings{Hostname: "relay.example.org", Delivery: config.Delivery{IdleTimeout: time.Minute}}
			row.change(&s, &route)
			now := smarthost(route, r.hops...)
			now.route.Name = route.Name
			s.Router = now
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
	c.Reload(Settings{Hostname: "new.example.org", Router: r})
	c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
	if s := p.Sessions(); len(s) != 1 || s[0].Commands[0] != "EHLO new.example.org" {
		t.Errorf("sessions: %+v", s)
	}
}
