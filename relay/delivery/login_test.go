package delivery

import (
	"cmp"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
)

// users of the peers in these tests.
var users = map[string]string{"relay": "pass word"}

func TestLogin(t *testing.T) {
	ca := smtptest.NewAuthority(t)
	const name = "smtp.example.net"
	secure := smtptest.Script{TLS: ca.Server(t, name), Users: users}
	with := func(s smtptest.Script, mechanisms ...string) smtptest.Script {
		s.Mechanisms = mechanisms
		return s
	}
	clear := smtptest.Script{Users: users}
	refusing := secure
	refusing.On = on{smtptest.Auth: say("454 4.7.0 back end is down")}
	endless := func(mechanism string) smtptest.Script {
		s := with(secure, mechanism)
		s.On = on{smtptest.Auth: say(strings.Repeat("334 PDFAYi5jPg==\n", 200) + "235 at last")}
		return s
	}
	for _, row := range []struct {
		why    string
		script smtptest.Script
		route  config.Route
		by     string // mechanism; empty if the login fails
		says   string
	}{
		{"the strongest", secure, config.Route{Password: "pass word"}, "SCRAM-SHA-256", ""},
		{"CRAM-MD5", with(secure, "PLAIN", "CRAM-MD5"), config.Route{Password: "pass word"}, "CRAM-MD5", ""},
		{"PLAIN", with(secure, "LOGIN", "PLAIN"), config.Route{Password: "pass word"}, "PLAIN", ""},
		{"LOGIN, whatever the prompts say", with(secure, "LOGIN"), config.Route{Password: "pass word"}, "LOGIN", ""},
		{"in lower case", with(secure, "plain"), config.Route{Password: "pass word"}, "PLAIN", ""},
		{"as configured", secure, config.Route{Password: "pass word", Mechanisms: []string{"LOGIN"}}, "LOGIN", ""},
		{"nothing in common", with(secure, "GSSAPI"), config.Route{Password: "pass word"}, "", "no usable AUTH mechanism"},
		{"wrong password, PLAIN", with(secure, "PLAIN"), config.Route{Password: "x"}, "", "535 5.7.8"},
		{"wrong password, LOGIN", with(secure, "LOGIN"), config.Route{Password: "x"}, "", "535 5.7.8"},
		{"wrong password, CRAM-MD5", with(secure, "CRAM-MD5"), config.Route{Password: "x"}, "", "535 5.7.8"},
		{"wrong password, SCRAM", with(secure, "SCRAM-SHA-256"), config.Route{Password: "x"}, "", "535 5.7.8"},
		{"a server that lets anyone in has not proved itself", func() smtptest.Script {
			s := with(secure, "SCRAM-SHA-256")
			s.On = on{smtptest.Auth: say("235 come in")}
			return s
		}(), config.Route{Password: "pass word"}, "", "did not prove"},
		{"one challenge after the other, CRAM-MD5", endless("CRAM-MD5"), config.Route{Password: "pass word"}, "", "asks for more"},
		{"one challenge after the other, PLAIN", endless("PLAIN"), config.Route{Password: "pass word"}, "", "unexpected server challenge"},
		{"one challenge after the other, LOGIN", endless("LOGIN"), config.Route{Password: "pass word"}, "", "asks for more"},
		{"back end down", refusing, config.Route{Password: "pass word"}, "", "454 4.7.0"},
		{"not in clear", clear, config.Route{Password: "pass word", TLS: config.RouteTLSOpportunistic}, "", "no login without TLS"},
		{"in clear where that is wanted", clear, config.Route{Password: "pass word", TLS: config.RouteTLSNone, InsecureAuth: true}, "SCRAM-SHA-256", ""},
		{"nothing offered to verify", clear, config.Route{Password: "pass word"}, "", "no STARTTLS"},
		{"as the configuration was read, whatever is in the file by now", secure, config.Route{Password: "pass word", PasswordFile: "/nonexistent/password"}, "SCRAM-SHA-256", ""},
	} {
		t.Run(row.why, func(t *testing.T) {
			p := smtptest.Start(t, row.script)
			row.route.Username, row.route.TLS = "relay", cmp.Or(row.route.TLS, config.RouteTLSVerify)
			r := smarthost(row.route, hop(name, p.Addr()))
			r.route.Authorities = ca.Pool()
			o := send(t, r, message(hello, "1@example.net"))
			if row.by == "" {
				if o.Results[0].Verdict != queue.Defer || o.Fault != queue.RouteFault {
					t.Errorf("outcome: %+v", o)
				}
				if said := o.FaultReason + o.FaultReply.String(); !strings.Contains(said, row.says) {
					t.Errorf("says %q, want something with %q", said, row.says)
				}
				for _, s := range p.Sessions() {
					if strings.Contains(string(s.Received), "pass word") || !s.TLS && strings.Contains(string(s.Received), "AUTH") {
						t.Errorf("the peer was told %q", s.Received)
					}
				}
				return
			}
			if o.Results[0].Verdict != queue.Success {
				t.Fatalf("outcome: %+v", o)
			}
			if s := p.Sessions()[0]; s.User != "relay" || s.Mechanism != row.by {
				t.Errorf("logged in as %q by %s, want %s", s.User, s.Mechanism, row.by)
			}
		})
	}
}

// TestNewPassword: what a reload brings is used by the next attempt.
func TestNewPassword(t *testing.T) {
	p := smtptest.Start(t, smtptest.Script{Users: users})
	with := func(password config.Secret) *table {
		return smarthost(config.Route{Username: "relay", Password: password, TLS: config.RouteTLSNone, InsecureAuth: true}, hop("smtp.example.net", p.Addr()))
	}
	c := courier(t, with(""), Timeouts{})
	for _, row := range []struct {
		password config.Secret
		fault    queue.Fault
	}{{"wrong", queue.RouteFault}, {"pass word", queue.NoFault}, {"wrong again", queue.RouteFault}} {
		r := with(row.password)
		c.Reload(settings(r))
		if o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net"))); o.Fault != row.fault {
			t.Errorf("with %q: %+v", string(row.password), o)
		}
	}
}

// TestUserOfTheSmarthost: a user in the URL goes before the route's.
func TestUserOfTheSmarthost(t *testing.T) {
	p := smtptest.Start(t, smtptest.Script{Users: map[string]string{"other": "x"}})
	h := hop("smtp.example.net", p.Addr())
	h.Username = "other"
	r := smarthost(config.Route{Username: "relay", Password: "x", TLS: config.RouteTLSNone, InsecureAuth: true}, h)
	if o := send(t, r, message(hello, "1@example.net")); o.Results[0].Verdict != queue.Success {
		t.Errorf("outcome: %+v", o)
	}
}

// TestSenderTakenForOthers: a recipient refused in the words for a sender who may not
// send is refused alone, if the host takes another one of the same transaction.
func TestSenderTakenForOthers(t *testing.T) {
	for _, refused := range []string{"1@example.net", "2@example.net"} {
		for kind, keywords := range allKinds {
			t.Run(refused+"/"+kind, func(t *testing.T) {
				p := peer(t, on{smtptest.Rcpt: smtptest.ByPath(map[string]string{refused: "553 5.7.1 not through me"})}, keywords...)
				o := send(t, smarthost(config.Route{}, hop("smtp.example.net", p.Addr())), message(hello, "1@example.net", "2@example.net"))
				want := []queue.Verdict{queue.Bounce, queue.Success}
				if refused == "2@example.net" {
					slices.Reverse(want)
				}
				if !slices.Equal(verdicts(o), want) || o.Fault != queue.NoFault {
					t.Errorf("outcome: %+v", o)
				}
			})
		}
	}
}

// TestRouteFaults: what a smarthost says about us defers everyone and names the
// fault; nobody bounces.
func TestRouteFaults(t *testing.T) {
	refused := map[string]bool{"sender_refused": true, "sender_refused_late": true}
	for name, script := range map[string]on{
		"login_wanted":        {smtptest.Mail: say("530 5.7.0 authentication required")},
		"sender_refused":      {smtptest.Mail: say("550 5.7.1 sender not allowed")},
		"sender_refused_late": {smtptest.Rcpt: say("553 5.7.1 sender not owned by user")},
		"quota":               {smtptest.Mail: say("452 4.3.1 daily quota")},
		"quota_after_data":    {smtptest.Content: say("550 5.4.5 daily sending quota exceeded")},
		"closed_for_us":       {smtptest.Connect: say("554 5.7.1 your address is blocked")},
		"disconnects":         {smtptest.EHLO: shut},
	} {
		t.Run(name, func(t *testing.T) {
			p := peer(t, script, modern...)
			o := send(t, smarthost(config.Route{}, hop("smtp.example.net", p.Addr())), message(hello, "1@example.net", "2@example.org"))
			want := queue.RouteFault
			if refused[name] {
				want = queue.SenderRefused
			}
			if o.Fault != want || o.FaultReply.Code == 0 && o.FaultReason == "" {
				t.Errorf("fault: %+v", o)
			}
			for _, r := range o.Results {
				if r.Verdict != queue.Defer {
					t.Errorf("result: %+v", r)
				}
			}
		})
	}
}
