package delivery

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/routing"
)

func TestTLSPolicies(t *testing.T) {
	ca, stranger := smtptest.NewAuthority(t), smtptest.NewAuthority(t)
	const name = "mx.example.net"
	good := ca.Server(t, name)
	ancient := ca.Server(t, name)
	ancient.MinVersion, ancient.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
	broken := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		return nil, errors.New("no certificate today")
	}}
	private := ca.Server(t, name)
	private.ClientAuth = tls.RequireAnyClientCert // with TLS 1.3 refused after our Finished
	const (
		none, opportunistic = config.RouteTLSNone, config.RouteTLSOpportunistic
		require, verify     = config.RouteTLSRequire, config.RouteTLSVerify
	)
	for _, row := range []struct {
		why      string
		policy   config.RouteTLS
		server   *tls.Config
		on       on
		implicit bool
		sent     bool
		tls      bool   // it went encrypted
		says     string // in the event's detail, or in the result's reason
	}{
		{why: "TLS is not wanted", policy: none, server: good, sent: true},
		{why: "offered and taken", policy: opportunistic, server: good, sent: true, tls: true},
		{why: "opportunistic asks no name", policy: opportunistic, server: stranger.Server(t, "x.test"), sent: true, tls: true},
		{why: "not offered, not missed", policy: opportunistic, sent: true},
		{why: "a handshake that fails costs a connection", policy: opportunistic, server: broken, sent: true, says: "TLS handshake"},
		{why: "a client certificate is wanted", policy: opportunistic, server: private, sent: true, says: "certificate required"},
		{why: "a client certificate is wanted, and TLS too", policy: require, server: private, says: "certificate required"},
		{why: "a client certificate is wanted from the first octet on", policy: verify, server: private, implicit: true, says: "certificate required"},
		{why: "TLS is out of order there", policy: opportunistic, server: good, on: on{smtptest.StartTLS: say("454 4.7.0 out of order")}, sent: true, says: "454"},
		{why: "a host that breaks down at STARTTLS", policy: opportunistic, server: good, on: on{smtptest.StartTLS: shut}, sent: true, says: "TLS handshake: the other side closed"},
		{why: "a host that answers STARTTLS with nonsense", policy: opportunistic, server: good, on: on{smtptest.StartTLS: smtptest.Do(smtptest.Action{Raw: "\x00\r\n"})}, sent: true, says: "not an SMTP reply"},
		{why: "a host that breaks down at STARTTLS, and TLS is required", policy: require, server: good, on: on{smtptest.StartTLS: shut}, says: "tls: the other side closed"},
		{why: "old TLS is better than none", policy: opportunistic, server: ancient, sent: true, tls: true},
		{why: "any certificate does", policy: require, server: stranger.Server(t, "x.test"), sent: true, tls: true},
		{why: "nothing offered", policy: require, says: "no STARTTLS"},
		{why: "a handshake that fails", policy: require, server: broken, says: "TLS handshake"},
		{why: "out of order is no reason for clear text", policy: require, server: good, on: on{smtptest.StartTLS: say("454 4.7.0 out of order")}, says: "454"},
		{why: "old TLS is not what is required", policy: require, server: ancient, says: "TLS handshake"},
		{why: "right name, right authority", policy: verify, server: good, sent: true, tls: true},
		{why: "wrong name", policy: verify, server: ca.Server(t, "other.example.net"), says: "other.example.net"},
		{why: "unknown authority", policy: verify, server: stranger.Server(t, name), says: "unknown authority"},
		{why: "expired", policy: verify, server: ca.Expired(t, name), says: "expired"},
		{why: "nothing offered to verify", policy: verify, says: "no STARTTLS"},
		{why: "text behind the 220", policy: opportunistic, server: good, on: on{smtptest.StartTLS: smtptest.Do(smtptest.Action{Raw: "220 go\r\n250 PWNED\r\n"})}, says: "in clear"},
		{why: "implicit TLS, verified", policy: verify, server: good, implicit: true, sent: true, tls: true},
		{why: "implicit TLS, wrong name", policy: verify, server: ca.Server(t, "other.example.net"), implicit: true, says: "other.example.net"},
		{why: "implicit TLS falls back to nothing", policy: opportunistic, server: broken, implicit: true, says: "TLS handshake"},
	} {
		t.Run(row.why, func(t *testing.T) {
			p := smtptest.Start(t, smtptest.Script{Keywords: modern, TLS: row.server, Implicit: row.implicit, On: row.on})
			h := hop(name, p.Addr())
			h.Implicit = row.implicit
			r := mx(h)
			r.route.TLS, r.route.Authorities = row.policy, ca.Pool()
			o := send(t, r, message(hello, "1@example.net"))
			x := o.Results[0]
			if row.sent != (x.Verdict == queue.Success) {
				t.Fatalf("outcome: %+v", o)
			}
			if row.tls != strings.HasPrefix(o.Event.TLS, "TLSv1.") {
				t.Errorf("event says TLS %q", o.Event.TLS)
			}
			if !row.sent && (x.Verdict != queue.Defer || o.Fault != queue.Unreachable || len(p.Messages()) > 0) {
				t.Errorf("outcome: %+v", o)
			}
			detail := x.Reason + x.Reply.String()
			if row.sent && o.Event.Err != nil {
				detail = o.Event.Err.Error()
			}
			if !strings.Contains(detail, row.says) {
				t.Errorf("says %q, want something with %q", detail, row.says)
			}
			if row.sent && p.Sessions()[len(p.Sessions())-1].TLS != row.tls {
				t.Errorf("the peer saw TLS %v", !row.tls)
			}
		})
	}
}

// TestTLSFaultOfASmarthost: what can't be verified there suspends the route.
func TestTLSFaultOfASmarthost(t *testing.T) {
	p := smtptest.Start(t, smtptest.Script{TLS: smtptest.NewAuthority(t).Server(t, "smtp.example.net")})
	r := smarthost(config.Route{TLS: config.RouteTLSVerify}, hop("smtp.example.net", p.Addr()))
	r.route.Authorities = smtptest.NewAuthority(t).Pool()
	o := send(t, r, message(hello, "1@example.net"))
	if o.Results[0].Verdict != queue.Defer || o.Fault != queue.RouteFault || !strings.Contains(o.FaultReason, "unknown authority") {
		t.Errorf("outcome: %+v", o)
	}
}

// TestFailOverBeforeTLSFault: another host that can be verified takes the mail.
func TestFailOverOnTLS(t *testing.T) {
	ca := smtptest.NewAuthority(t)
	bad := smtptest.Start(t, smtptest.Script{TLS: ca.Expired(t, "a.example.net")})
	good := smtptest.Start(t, smtptest.Script{TLS: ca.Server(t, "b.example.net")})
	r := smarthost(config.Route{TLS: config.RouteTLSVerify}, hop("a.example.net", bad.Addr()), hop("b.example.net", good.Addr()))
	r.route.Authorities = ca.Pool()
	o := send(t, r, message(hello, "1@example.net"))
	if o.Results[0].Verdict != queue.Success || o.Event.Host != "b.example.net" {
		t.Errorf("outcome: %+v", o)
	}
	if up, told := r.reports["a.example.net"]; up || !told {
		t.Errorf("router was not told: %v", r.reports)
	}
}

// TestNewAuthorities: what a reload brings is used by the next attempt.
func TestNewAuthorities(t *testing.T) {
	old, renewed := smtptest.NewAuthority(t), smtptest.NewAuthority(t)
	p := smtptest.Start(t, smtptest.Script{TLS: renewed.Server(t, "smtp.example.net")})
	r := smarthost(config.Route{TLS: config.RouteTLSVerify}, hop("smtp.example.net", p.Addr()))
	r.route.Authorities = old.Pool()
	c := courier(t, r, Timeouts{})
	if o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net"))); o.Fault != queue.RouteFault {
		t.Fatalf("outcome: %+v", o)
	}
	now := smarthost(r.route.Route, r.hops...)
	now.route.Authorities = renewed.Pool()
	c.Reload(settings(now))
	if o := c.Deliver(t.Context(), now.towards(message(hello, "1@example.net"))); o.Results[0].Verdict != queue.Success {
		t.Errorf("outcome: %+v", o)
	}
	if n := len(c.securities.made); n != 1 {
		t.Errorf("%d TLS configurations are kept, the old authorities among them", n)
	}
}

// TestRequireTLS is RFC 8689: to a host that is known to be the right one, verified
// and passed on, or not at all.
func TestRequireTLS(t *testing.T) {
	ca, other := smtptest.NewAuthority(t), smtptest.NewAuthority(t)
	const name = "smtp.example.net"
	offered := []string{"REQUIRETLS"}
	good, bad := ca.Server(t, name, "127.0.0.1"), other.Server(t, name)
	opportunistic := smarthost(config.Route{TLS: config.RouteTLSOpportunistic})
	verify := smarthost(config.Route{TLS: config.RouteTLSVerify})
	busy := on{smtptest.StartTLS: say("454 4.7.0 out of order")}
	for _, row := range []struct {
		why    string
		route  *table
		to     string
		script smtptest.Script
		status string // of the bounce
		want   queue.Verdict
		fault  queue.Fault
	}{
		{"offered by a smarthost", verify, "1@example.net", smtptest.Script{Keywords: offered, TLS: good}, "", queue.Success, queue.NoFault},
		{"the message raises the policy", opportunistic, "1@example.net", smtptest.Script{Keywords: offered, TLS: good}, "", queue.Success, queue.NoFault},
		{"an address can't be spoofed in DNS", mx(), "1@[127.0.0.1]", smtptest.Script{Keywords: offered, TLS: good}, "", queue.Success, queue.NoFault},
		{"an MX record can", mx(), "1@example.net", smtptest.Script{Keywords: offered, TLS: good}, "5.7.30", queue.Bounce, queue.NoFault},
		{"not offered", verify, "1@example.net", smtptest.Script{TLS: good}, "5.7.30", queue.Bounce, queue.NoFault},
		{"the route would not ask for the certificate", opportunistic, "1@example.net", smtptest.Script{Keywords: offered, TLS: bad}, "5.7.10", queue.Bounce, queue.NoFault},
		{"no TLS at all", opportunistic, "1@example.net", smtptest.Script{}, "5.7.10", queue.Bounce, queue.NoFault},
		{"TLS is out of order today", opportunistic, "1@example.net", smtptest.Script{Keywords: offered, TLS: good, On: busy}, "", queue.Defer, queue.NoFault},
		{"the route can't verify anybody's", verify, "1@example.net", smtptest.Script{Keywords: offered, TLS: bad}, "", queue.Defer, queue.RouteFault},
	} {
		t.Run(row.why, func(t *testing.T) {
			p := smtptest.Start(t, row.script)
			h := hop(name, p.Addr())
			if !row.route.route.Smarthost {
				h.Host = "127.0.0.1"
			}
			r := &table{route: row.route.route, hops: []routing.NextHop{h}}
			r.route.Authorities = ca.Pool()
			a := message(hello, row.to)
			a.Envelope.RequireTLS = true
			o := send(t, r, a)
			x := o.Results[0]
			if x.Verdict != row.want || o.Fault != row.fault || row.want == queue.Bounce && x.Reply.Enhanced.String() != row.status {
				t.Fatalf("outcome: %+v", o)
			}
			if row.want == queue.Bounce && len(p.Sessions()) > 0 {
				ours(t, o, h.Host)
			}
			if row.want != queue.Success {
				if len(p.Messages()) > 0 {
					t.Error("it was sent")
				}
				return
			}
			if m := p.Await(t, 1)[0]; !strings.Contains(m.Mail, " REQUIRETLS") {
				t.Errorf("MAIL was %q; %+v", m.Mail, o)
			}
		})
	}
}

// TestRequireTLSIsNoRouteFault: a smarthost that only this message can't go to works
// for all others, even while the others of its route don't.
func TestRequireTLSIsNoRouteFault(t *testing.T) {
	ca := smtptest.NewAuthority(t)
	const name = "b.example.net"
	secure := smtptest.Script{TLS: ca.Server(t, name)}
	refusing := smtptest.Script{TLS: secure.TLS, Users: map[string]string{"relay": "another"}}
	for why, row := range map[string]struct {
		policy config.RouteTLS
		dead   *smtptest.Script // what the other host is like; nil: down
		works  smtptest.Script
	}{
		"not passed on, the other is down":           {config.RouteTLSVerify, nil, secure},
		"no TLS to be had, the other is down":        {config.RouteTLSOpportunistic, nil, smtptest.Script{}},
		"not passed on, the other refuses the login": {config.RouteTLSVerify, &refusing, secure},
	} {
		t.Run(why, func(t *testing.T) {
			other := nobody(name)
			if row.dead != nil {
				other = hop(name, smtptest.Start(t, *row.dead).Addr())
				other.Username = "relay"
			}
			r := smarthost(config.Route{TLS: row.policy, Password: "x"}, other, hop(name, smtptest.Start(t, row.works).Addr()))
			r.route.Authorities = ca.Pool()
			a := message(hello, "1@example.net")
			a.Envelope.RequireTLS = true
			if o := send(t, r, a); o.Results[0].Verdict != queue.Defer || o.Fault != queue.NoFault {
				t.Errorf("outcome: %+v", o)
			}
		})
	}
}

// TestRequireTLSOfReports: a report is sent as its route says, rather than thrown
// away (RFC 8689 section 5), and the wish is passed on where it is understood.
func TestRequireTLSOfReports(t *testing.T) {
	for _, keywords := range [][]string{nil, {"REQUIRETLS"}} {
		p := peer(t, nil, keywords...)
		a := message(hello, "1@example.net")
		a.Envelope.From, a.Envelope.RequireTLS = mail.Path{}, true
		if o := send(t, mx(hop("mx.example.net", p.Addr())), a); o.Results[0].Verdict != queue.Success {
			t.Fatalf("outcome: %+v", o)
		}
		if m := p.Messages()[0]; strings.Contains(m.Mail, "REQUIRETLS") != (keywords != nil) {
			t.Errorf("a host that offers %v was told %q", keywords, m.Mail)
		}
	}
}
