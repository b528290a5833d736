package submission

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
)

// relayProbes are pairs of reverse-path and forward-path that have made one
// server or another relay for strangers. %h is our own name.
var relayProbes = []struct{ why, from, to string }{
	{"plain", "<spam@evil.example>", "<victim@example.net>"},
	{"null sender", "<>", "<victim@example.net>"},
	{"our own name as sender", "<spam@%h>", "<victim@example.net>"},
	{"sender without a domain", "<spam>", "<victim@example.net>"},
	{"sender localhost", "<spam@localhost>", "<victim@example.net>"},
	{"sender at our address", "<spam@[127.0.0.1]>", "<victim@example.net>"},
	{"postmaster as sender", "<postmaster@%h>", "<victim@example.net>"},
	{"sender and recipient alike", "<victim@example.net>", "<victim@example.net>"},
	{"percent hack", "<spam@evil.example>", "<victim%example.net@%h>"},
	{"percent hack at our address", "<spam@evil.example>", "<victim%example.net@[127.0.0.1]>"},
	{"percent hack without a domain", "<spam@evil.example>", "<victim%example.net>"},
	{"percent hack twice", "<spam@evil.example>", "<victim%example.net%%h@%h>"},
	{"quoted percent hack", "<spam@evil.example>", `<"victim%example.net"@%h>`},
	{"quoted address", "<spam@evil.example>", `<"victim@example.net"@%h>`},
	{"quoted address alone", "<spam@evil.example>", `<"victim@example.net">`},
	{"address inside of an address", "<spam@evil.example>", "<victim@example.net@%h>"},
	{"address inside of an address at ours", "<spam@evil.example>", "<victim@example.net@[127.0.0.1]>"},
	{"source route by us", "<spam@evil.example>", "<@%h:victim@example.net>"},
	{"source route by our address", "<spam@evil.example>", "<@[127.0.0.1]:victim@example.net>"},
	{"source route with two hops", "<spam@evil.example>", "<@%h,@evil.example:victim@example.net>"},
	{"source route in the sender", "<@%h:spam@evil.example>", "<victim@example.net>"},
	{"bang path", "<spam@evil.example>", "<example.net!victim>"},
	{"bang path at us", "<spam@evil.example>", "<example.net!victim@%h>"},
	{"bang path by us", "<spam@evil.example>", "<%h!example.net!victim>"},
	{"bang path and percent", "<spam@evil.example>", "<example.net!victim%%h@%h>"},
	{"nested brackets", "<<spam@evil.example>>", "<<victim@example.net>>"},
	{"no brackets", "spam@evil.example", "victim@example.net"},
	{"a space in the path", "<spam@evil.example>", "< victim@example.net >"},
	{"postmaster alone", "<spam@evil.example>", "<postmaster>"},
	{"abuse at us", "<spam@evil.example>", "<abuse@%h>"},
	{"trailing dot", "<spam@evil.example>", "<victim@example.net.>"},
	{"full-width at sign", "<spam@evil.example>", "<victim\uff20example.net@%h>"},
	{"look-alike letters of our name", "<spam@evil.example>", "<victim@rel\u0430y.ex\u0430mple.com>"},
	{"percent-encoded at sign", "<spam@evil.example>", "<victim%40example.net@%h>"},
	{"UTF-8 sender", "<sp\u00e4m@evil.example> SMTPUTF8", "<victim@example.net>"},
	{"AUTH parameter of somebody trusted", "<spam@evil.example> AUTH=alice", "<victim@example.net>"},
	{"a command behind a bare LF", "<spam@evil.example>\nRCPT TO:<victim@example.net>", "<victim@example.net>"},
	{"a command behind a bare CR", "<spam@evil.example>\rRCPT TO:<victim@example.net>", "<victim@example.net>"},
	{"a NUL in the path", "<spam@evil.example\x00@%h>", "<victim@example.net\x00@%h>"},
	{"an X.400 address", "<spam@evil.example>", "</PN=victim/O=example/@example.net>"},
}

// TestNoOpenRelay tries every probe on every kind of listener, without AUTH, as
// EHLO and HELO client, one by one and pipelined. Nothing may be accepted.
func TestNoOpenRelay(t *testing.T) {
	for _, kind := range []struct {
		why    string
		change func(*config.Listener)
	}{
		{"starttls", func(*config.Listener) {}},
		{"in clear", func(l *config.Listener) { l.TLS = config.TLSNone }},
		{"tls required", func(l *config.Listener) { l.TLS, l.AllowInsecureAuth = config.TLSRequired, false }},
	} {
		t.Run(kind.why, func(t *testing.T) {
			b := start(t, func(o *Options, _ *bench) { kind.change(&o.Listeners[0]) })
			for _, probe := range relayProbes {
				name := strings.NewReplacer("%h", "relay.example.com")
				from, to := name.Replace(probe.from), name.Replace(probe.to)
				c := b.dial(t)
				c.do("EHLO evil.example", "250")
				for _, command := range []string{"MAIL FROM:" + from, "RCPT TO:" + to, "DATA"} {
					if r := c.do(command, "5"); strings.HasPrefix(command, "MAIL") && strings.HasPrefix(r, "2") {
						t.Errorf("%s: %q is answered %q", probe.why, command, r)
					}
				}
				c.do("HELO evil.example", "250")
				c.send("MAIL FROM:" + from + "\r\nRCPT TO:" + to + "\r\nRSET\r\nQUIT\r\n")
				c.want("5")
				c.want("5")
				c.want("250 ")
				c.want("221 ")
			}
			if n := len(b.queue.all()); n != 0 {
				t.Errorf("%d messages were accepted", n)
			}
		})
	}
}

// TestPathsThatMeanOthers: with AUTH too, what an address means is what stands in
// it; nothing routes by what is inside of its local part.
func TestPathsThatMeanOthers(t *testing.T) {
	b := start(t, nil)
	c := b.dial(t)
	c.login()
	for _, row := range []struct{ to, want string }{
		{"<victim%example.net@relay.example.com>", "victim%example.net@relay.example.com"},
		{`<"victim@example.net"@relay.example.com>`, `"victim@example.net"@relay.example.com`},
		{"<example.net!victim@relay.example.com>", "example.net!victim@relay.example.com"},
		{"<@relay.example.com:victim@example.net>", "victim@example.net"},
		{"<Victim@EXAMPLE.net>", "Victim@example.net"},
		{`<"victim"@example.net>`, "victim@example.net"},
		{`<"vic\"tim"@example.net>`, `"vic\"tim"@example.net`},
		{"<postmaster>", "postmaster@relay.example.com"},
	} {
		c.do("MAIL FROM:<a@example.com>", "250 ")
		c.do("RCPT TO:"+row.to, "250 ")
		c.do("DATA", "354 ")
		c.do("x: y\r\n\r\n.", "250 ")
		m := b.queue.all()
		if got := m[len(m)-1].envelope.Recipients[0].Address.String(); got != row.want {
			t.Errorf("%s means %s, want %s", row.to, got, row.want)
		}
	}
}
