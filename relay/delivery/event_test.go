package delivery

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/routing"
)

// TestEvent: what log, trace and metrics will show of an attempt.
func TestEvent(t *testing.T) {
	ca := smtptest.NewAuthority(t)
	slow := smtptest.Do(smtptest.Action{Delay: 20 * time.Millisecond})
	p := smtptest.Start(t, smtptest.Script{
		Keywords: []string{"PIPELINING"}, TLS: ca.Server(t, "smtp.example.net"), Users: users,
		On: on{smtptest.Connect: slow, smtptest.Mail: slow, smtptest.Content: smtptest.Do(smtptest.Action{Reply: "250 2.0.0 queued as 42", Delay: 20 * time.Millisecond})},
	})
	r := smarthost(config.Route{Username: "relay", Password: "pass word", TLS: config.RouteTLSVerify}, hop("smtp.example.net", p.Addr()))
	r.route.Authorities = ca.Pool()
	c := courier(t, r, Timeouts{})
	for i, want := range []string{"dns connect tls auth mail data", "dns mail data"} {
		o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
		e := o.Event
		var names []string
		for _, phase := range e.Phases {
			names = append(names, phase.Name)
			if least := 20 * time.Millisecond; phase.Took < least && slices.Contains([]string{"connect", "mail", "data"}, phase.Name) {
				t.Errorf("%s took %v, want at least %v", phase.Name, phase.Took, least)
			}
		}
		if strings.Join(names, " ") != want {
			t.Errorf("phases of message %d: %v, want %s", i+1, names, want)
		}
		if e.Route != "provider" || e.Host != "smtp.example.net" || e.Address != p.Addr() || e.TLS != "TLSv1.3" || e.Reply.String() != "250 2.0.0 queued as 42" {
			t.Errorf("event: %+v", e)
		}
		if strings.Contains(fmt.Sprintf("%+v", o), "pass word") {
			t.Errorf("the outcome holds the password: %+v", o)
		}
	}
}

// TestNoPlan: what routing says about a domain without hosts.
func TestNoPlan(t *testing.T) {
	null := mail.Errorf(556, mail.EnhancedCode{5, 1, 10}, "example.net accepts no mail")
	broken := mail.Errorf(451, mail.EnhancedCode{4, 4, 3}, "example.net: SERVFAIL")
	for _, row := range []struct {
		why     string
		err     error
		through *table
		want    queue.Verdict
		fault   queue.Fault
	}{
		{"a null MX", null, mx(), queue.Bounce, queue.NoFault},
		{"a wrapped one", fmt.Errorf("routing: %w", null), mx(), queue.Bounce, queue.NoFault},
		{"DNS is down", broken, mx(), queue.Defer, queue.Unreachable},
		{"something else", errors.New("no idea"), mx(), queue.Defer, queue.Unreachable},
		{"no hosts and no error", nil, mx(), queue.Defer, queue.Unreachable},
		{"a smarthost without an address is no message's fault", null, smarthost(config.Route{}), queue.Defer, queue.RouteFault},
	} {
		row.through.err = row.err
		o := send(t, row.through, message(hello, "1@example.net"))
		if x := o.Results[0]; x.Verdict != row.want || o.Fault != row.fault || x.Reply.Code == 0 && x.Reason == "" {
			t.Errorf("%s: %+v", row.why, o)
		}
	}
}

// TestSessionAtRestIsPreferred among hosts that are equally good, and only there.
func TestSessionAtRestIsPreferred(t *testing.T) {
	p, q := peer(t, nil), peer(t, nil)
	a, b := hop("a.example.net", p.Addr()), hop("b.example.net", q.Addr())
	r := mx(b, a)
	c := courier(t, r, Timeouts{})
	deliver := func() string {
		return c.Deliver(t.Context(), r.towards(message(hello, "1@example.net"))).Event.Host
	}
	deliver()
	r.hops = []routing.NextHop{a, b}
	if host := deliver(); host != "b.example.net" {
		t.Errorf("went to %s", host)
	}
	b.Preference = 20
	r.hops = []routing.NextHop{a, b}
	if host := deliver(); host != "a.example.net" {
		t.Errorf("went to %s, though another is preferred", host)
	}
}
