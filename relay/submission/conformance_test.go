package submission

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// stages are how far a session is before a row's commands.
var stages = map[string][]string{
	"greeted":  {},
	"hello":    {"EHLO client.example"},
	"auth":     {"EHLO client.example", "AUTH LOGIN"},
	"login":    {"EHLO client.example", "AUTH PLAIN " + alicePlain},
	"mail":     {"EHLO client.example", "AUTH PLAIN " + alicePlain, "MAIL FROM:<a@example.com>"},
	"utf8":     {"EHLO client.example", "AUTH PLAIN " + alicePlain, "MAIL FROM:<a@example.com> SMTPUTF8"},
	"rcpt":     {"EHLO client.example", "AUTH PLAIN " + alicePlain, "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.net>"},
	"all-deny": {"EHLO client.example", "AUTH PLAIN " + alicePlain, "MAIL FROM:<a@example.com>", "RCPT TO:<denied@example.net>"},
	"all-bad":  {"EHLO client.example", "AUTH PLAIN " + alicePlain, "MAIL FROM:<a@example.com>", "RCPT TO:b@example.net"},
}

// TestCommands has one row a rule of the command table: a stage, a command, and
// how the answer begins.
func TestCommands(t *testing.T) {
	long := strings.Repeat("x", 3000)
	for _, row := range []struct {
		why, stage, command, want string
	}{
		{"HELO is answered with one line", "greeted", "HELO client.example", "250 relay.example.com"},
		{"HELO without an argument", "greeted", "HELO", "501 5.5.4 "},
		{"EHLO without an argument", "greeted", "EHLO", "501 5.5.4 "},
		{"EHLO with two words is no name", "greeted", "EHLO my computer", "501 5.5.4 "},
		{"EHLO with an address literal", "greeted", "EHLO [IPv6:2001:db8::1]", "250-relay.example.com"},
		{"a verb in small letters", "greeted", "ehlo client.example", "250-relay.example.com"},
		{"white space at the end means nothing", "greeted", "EHLO client.example  ", "250-relay.example.com"},
		{"EHLO once more", "rcpt", "EHLO client.example", "250-relay.example.com"},

		{"NOOP", "greeted", "NOOP", "250 2.0.0 "},
		{"NOOP with an argument", "hello", "NOOP are you there", "250 2.0.0 "},
		{"RSET before EHLO", "greeted", "RSET", "250 2.0.0 "},
		{"RSET", "rcpt", "RSET", "250 2.0.0 "},
		{"RSET takes no argument", "hello", "RSET now", "501 5.5.4 "},
		{"QUIT before EHLO", "greeted", "QUIT", "221 2.0.0 "},
		{"QUIT takes no argument", "hello", "QUIT please", "501 5.5.4 "},
		{"HELP lists the commands", "greeted", "HELP", "214-2.0.0 Commands: EHLO"},
		{"HELP with an argument", "hello", "HELP MAIL", "214-2.0.0 "},
		{"VRFY reveals nothing", "hello", "VRFY root", "252 2.5.0 "},
		{"VRFY needs an argument", "hello", "VRFY", "501 5.5.4 "},
		{"EXPN is disabled", "hello", "EXPN staff", "502 5.5.1 "},
		{"ETRN is not implemented", "hello", "ETRN example.com", "502 5.5.1 "},
		{"ATRN is not implemented", "hello", "ATRN example.com", "502 5.5.1 "},
		{"TURN is a security hole", "hello", "TURN", "502 5.5.1 "},
		{"SEND is obsolete", "hello", "SEND FROM:<a@example.com>", "502 5.5.1 "},
		{"SOML is obsolete", "hello", "SOML FROM:<a@example.com>", "502 5.5.1 "},
		{"SAML is obsolete", "hello", "SAML FROM:<a@example.com>", "502 5.5.1 "},
		{"an unknown command", "hello", "XYZZY", "500 5.5.1 "},
		{"LHLO is another protocol", "greeted", "LHLO client.example", "500 5.5.1 "},
		{"an empty line", "hello", "", "500 5.5.2 "},
		{"a control character", "hello", "NOOP \x01", "500 5.5.2 "},
		{"a NUL", "hello", "NOOP \x00", "500 5.5.2 "},
		{"8-bit where no address is", "hello", "NOOP \xc3\xa9", "500 5.5.2 "},
		{"a bare CR", "hello", "NOOP\rNOOP", "500 5.5.2 "},
		{"a bare LF does not end a command", "hello", "NOOP\nNOOP", "500 5.5.2 "},
		{"a line over 2048 octets", "hello", "NOOP " + long, "500 5.5.2 "},
		{"a line longer than any buffer", "hello", "NOOP " + strings.Repeat(long, 20), "500 5.5.2 "},

		{"AUTH before EHLO", "greeted", "AUTH PLAIN " + alicePlain, "503 5.5.1 "},
		{"AUTH without a mechanism", "hello", "AUTH", "501 5.5.4 "},
		{"AUTH with too many words", "hello", "AUTH PLAIN a b", "501 5.5.4 "},
		{"AUTH with a mechanism nobody has", "hello", "AUTH CRAM-MD5", "504 5.5.4 "},
		{"AUTH PLAIN with an initial response", "hello", "AUTH PLAIN " + alicePlain, "235 2.7.0 "},
		{"a mechanism in small letters", "hello", "auth plain " + alicePlain, "235 2.7.0 "},
		{"AUTH PLAIN without one is asked for it", "hello", "AUTH PLAIN", "334 "},
		{"AUTH LOGIN asks for the user", "hello", "AUTH LOGIN", "334 VXNlcm5hbWU6"},
		{"AUTH LOGIN with the user at once", "hello", "AUTH LOGIN YWxpY2U=", "334 UGFzc3dvcmQ6"},
		{"an initial response that is no base64", "hello", "AUTH PLAIN !!!!", "501 5.5.2 "},
		{"AUTH twice", "login", "AUTH PLAIN " + alicePlain, "503 5.5.1 Already authenticated"},
		{"a back end that is down", "hello", "AUTH PLAIN AGRvd24Ac2VjcmV0", "454 4.7.0 "},

		{"MAIL before EHLO", "greeted", "MAIL FROM:<a@example.com>", "503 5.5.1 "},
		{"MAIL without AUTH", "hello", "MAIL FROM:<a@example.com>", "530 5.7.0 "},
		{"MAIL", "login", "MAIL FROM:<a@example.com>", "250 2.1.0 "},
		{"MAIL in small letters", "login", "mail from:<a@example.com>", "250 2.1.0 "},
		{"a space before the path harms nobody", "login", "MAIL FROM: <a@example.com>", "250 2.1.0 "},
		{"the null reverse-path", "login", "MAIL FROM:<>", "250 2.1.0 "},
		{"MAIL nested", "mail", "MAIL FROM:<b@example.com>", "503 5.5.1 "},
		{"MAIL without FROM", "login", "MAIL <a@example.com>", "501 5.5.4 "},
		{"MAIL without anything", "login", "MAIL", "501 5.5.4 "},
		{"MAIL without brackets", "login", "MAIL FROM:a@example.com", "501 5.1.7 "},
		{"MAIL with one bracket", "login", "MAIL FROM:<a@example.com", "501 5.1.7 "},
		{"MAIL without a domain", "login", "MAIL FROM:<a>", "501 5.1.7 "},
		{"a reverse-path of postmaster alone", "login", "MAIL FROM:<postmaster>", "501 5.1.7 "},
		{"an empty local part", "login", "MAIL FROM:<@example.com>", "501 5.1.7 "},
		{"two dots in a row", "login", "MAIL FROM:<a..b@example.com>", "501 5.1.7 "},
		{"a local part over 64 octets", "login", "MAIL FROM:<" + long[:65] + "@example.com>", "501 5.1.7 "},
		{"a path over 256 octets", "login", "MAIL FROM:<a@" + strings.Repeat("long.", 60) + "example>", "501 5.1.7 "},
		{"garbage behind the path", "login", "MAIL FROM:<a@example.com>SIZE=1", "501 5.1.7 "},
		{"a quoted local part", "login", `MAIL FROM:<"a b"@example.com>`, "250 2.1.0 "},
		{"a bracket inside of quotes", "login", `MAIL FROM:<"a>b"@example.com>`, "250 2.1.0 "},
		{"a source route is read and ignored", "login", "MAIL FROM:<@x.example,@y.example:a@example.com>", "250 2.1.0 "},
		{"an address literal", "login", "MAIL FROM:<a@[192.0.2.1]>", "250 2.1.0 "},
		{"a sender that policy refuses", "login", "MAIL FROM:<forged@example.com>", "550 5.7.1 "},
		{"an 8-bit sender without SMTPUTF8", "login", "MAIL FROM:<\xc3\xa9@example.com>", "550 5.6.7 "},
		{"an 8-bit sender with SMTPUTF8", "login", "MAIL FROM:<\xc3\xa9@example.com> SMTPUTF8", "250 2.1.0 "},
		{"a sender that is not UTF-8", "login", "MAIL FROM:<\xe9@example.com> SMTPUTF8", "500 5.5.2 "},

		{"SIZE of what we take", "login", "MAIL FROM:<a@example.com> SIZE=1048576", "250 2.1.0 "},
		{"SIZE of one octet more", "login", "MAIL FROM:<a@example.com> SIZE=1048577", "552 5.3.4 "},
		{"SIZE of more than 64 bits hold", "login", "MAIL FROM:<a@example.com> SIZE=99999999999999999999", "552 5.3.4 "},
		{"SIZE that is no number", "login", "MAIL FROM:<a@example.com> SIZE=big", "501 5.5.4 "},
		{"SIZE below zero", "login", "MAIL FROM:<a@example.com> SIZE=-1", "501 5.5.4 "},
		{"SIZE without a value", "login", "MAIL FROM:<a@example.com> SIZE", "501 5.5.4 "},
		{"a parameter twice", "login", "MAIL FROM:<a@example.com> SIZE=1 SIZE=2", "501 5.5.4 "},
		{"an unknown parameter", "login", "MAIL FROM:<a@example.com> FOO=bar", "555 5.5.4 "},
		{"a parameter with an empty value", "login", "MAIL FROM:<a@example.com> SIZE=", "501 5.5.4 "},
		{"a parameter with two values", "login", "MAIL FROM:<a@example.com> ENVID=a=b", "501 5.5.4 "},
		{"BODY=8BITMIME", "login", "MAIL FROM:<a@example.com> BODY=8bitmime", "250 2.1.0 "},
		{"BODY=BINARYMIME is not offered", "login", "MAIL FROM:<a@example.com> BODY=BINARYMIME", "501 5.5.4 "},
		{"SMTPUTF8 takes no value", "login", "MAIL FROM:<a@example.com> SMTPUTF8=yes", "501 5.5.4 "},
		{"REQUIRETLS without TLS is not offered", "login", "MAIL FROM:<a@example.com> REQUIRETLS", "555 5.5.4 "},
		{"DSN parameters", "login", "MAIL FROM:<a@example.com> RET=HDRS ENVID=QQ+2B1", "250 2.1.0 "},
		{"RET that is neither", "login", "MAIL FROM:<a@example.com> RET=SOME", "501 5.5.4 "},
		{"ENVID with a line break in it", "login", "MAIL FROM:<a@example.com> ENVID=a+0D+0Ab", "501 5.5.4 "},
		{"ENVID with half a character", "login", "MAIL FROM:<a@example.com> ENVID=a+4", "501 5.5.4 "},
		{"AUTH= is taken and not believed", "login", "MAIL FROM:<a@example.com> AUTH=<>", "250 2.1.0 "},
		{"DELIVERBY is not offered", "login", "MAIL FROM:<a@example.com> BY=120;R", "555 5.5.4 "},

		{"RCPT before MAIL", "login", "RCPT TO:<b@example.net>", "503 5.5.1 "},
		{"RCPT without AUTH", "hello", "RCPT TO:<b@example.net>", "503 5.5.1 "},
		{"RCPT before EHLO", "greeted", "RCPT TO:<b@example.net>", "503 5.5.1 "},
		{"RCPT", "mail", "RCPT TO:<b@example.net>", "250 2.1.5 "},
		{"RCPT without TO", "mail", "RCPT <b@example.net>", "501 5.5.4 "},
		{"RCPT to nobody", "mail", "RCPT TO:<>", "501 5.1.3 "},
		{"RCPT without brackets", "mail", "RCPT TO:b@example.net", "501 5.1.3 "},
		{"RCPT without a domain", "mail", "RCPT TO:<b>", "501 5.1.3 "},
		{"postmaster needs no domain", "mail", "RCPT TO:<PostMaster>", "250 2.1.5 "},
		{"a recipient that policy denies", "mail", "RCPT TO:<denied@example.net>", "550 5.7.1 "},
		{"an 8-bit recipient without SMTPUTF8", "mail", "RCPT TO:<\xc3\xa9@example.net>", "553 5.6.7 "},
		{"an 8-bit recipient with SMTPUTF8", "utf8", "RCPT TO:<\xc3\xa9@example.net>", "250 2.1.5 "},
		{"an 8-bit domain with SMTPUTF8", "utf8", "RCPT TO:<e@b\xc3\xbccher.example>", "250 2.1.5 "},
		{"NOTIFY", "mail", "RCPT TO:<b@example.net> NOTIFY=SUCCESS,delay", "250 2.1.5 "},
		{"NOTIFY=NEVER stands alone", "mail", "RCPT TO:<b@example.net> NOTIFY=NEVER,DELAY", "501 5.5.4 "},
		{"NOTIFY that is none", "mail", "RCPT TO:<b@example.net> NOTIFY=ALWAYS", "501 5.5.4 "},
		{"ORCPT", "mail", "RCPT TO:<b@example.net> ORCPT=rfc822;B+2Bx@example.net", "250 2.1.5 "},
		{"ORCPT without a type", "mail", "RCPT TO:<b@example.net> ORCPT=b@example.net", "501 5.5.4 "},
		{"an unknown parameter of RCPT", "mail", "RCPT TO:<b@example.net> SIZE=1", "555 5.5.4 "},

		{"DATA before EHLO", "greeted", "DATA", "503 5.5.1 "},
		{"DATA before MAIL", "login", "DATA", "503 5.5.1 "},
		{"DATA before RCPT", "mail", "DATA", "503 5.5.1 "},
		{"DATA after all recipients were refused", "all-deny", "DATA", "554 5.5.1 "},
		{"DATA after all recipients were written wrongly", "all-bad", "DATA", "554 5.5.1 "},
		{"DATA takes no argument", "rcpt", "DATA now", "501 5.5.4 "},
		{"DATA", "rcpt", "DATA", "354 "},
		{"BDAT before MAIL", "login", "BDAT 4 LAST\r\nx\r\n.", "503 5.5.1 "},
		{"BDAT before RCPT", "mail", "BDAT 0 LAST", "503 5.5.1 "},
		{"BDAT after all recipients were refused", "all-deny", "BDAT 0 LAST", "554 5.5.1 "},
		{"BDAT without a size", "rcpt", "BDAT", "501 5.5.4 "},
		{"BDAT with a size below zero", "rcpt", "BDAT -1", "501 5.5.4 "},
		{"BDAT with a second word that is not LAST", "rcpt", "BDAT 3 FIRST", "501 5.5.4 "},
		{"BDAT of nothing, and more to come", "rcpt", "BDAT 0", "250 2.0.0 "},

		{"STARTTLS takes no argument", "hello", "STARTTLS now", "501 5.5.4 "},
	} {
		t.Run(row.why, func(t *testing.T) {
			c := start(t, nil).dial(t)
			for _, command := range stages[row.stage] {
				c.send(command + "\r\n")
				c.reply()
			}
			c.do(row.command, row.want)
		})
	}
}

// TestEnvelope: what the commands said is what the queue gets.
func TestEnvelope(t *testing.T) {
	b := start(t, nil)
	c := b.dial(t)
	c.login()
	c.do("EHLO second.example", "250-")
	c.do("MAIL FROM:<a@example.com> BODY=8BITMIME RET=HDRS ENVID=x+2By", "250 ")
	c.do("RCPT TO:<b@example.net> NOTIFY=SUCCESS ORCPT=rfc822;c+40example.org", "250 ")
	c.do("DATA", "354 ")
	c.do("x: y\r\n\r\n.", "250 ")
	e := b.queue.all()[0].envelope
	if e.Identity.Name != "alice" || e.Identity.Helo != "second.example" {
		t.Errorf("it is %+v's", e.Identity)
	}
	if e.Body != mail.Body8BitMIME || e.Return != mail.ReturnHeaders || e.EnvelopeID != "x+y" {
		t.Errorf("MAIL said %v %v %q", e.Body, e.Return, e.EnvelopeID)
	}
	want := mail.Recipient{
		Address: mail.MustParseAddress("b@example.net"), Notify: mail.NotifySuccess,
		OriginalType: "rfc822", Original: "c@example.org",
	}
	if len(e.Recipients) != 1 || e.Recipients[0] != want {
		t.Errorf("RCPT said %+v", e.Recipients)
	}
}

// TestListeners has one row for each way a listener shapes its answers.
func TestListeners(t *testing.T) {
	for _, row := range []struct {
		why      string
		change   func(*config.Listener)
		noCert   bool
		commands string // separated by |
		want     string // of the last
	}{
		{
			why:      "tls: none does not offer STARTTLS",
			change:   func(l *config.Listener) { l.TLS = config.TLSNone },
			commands: "EHLO x|STARTTLS", want: "502 5.5.1 ",
		}, {
			why:    "STARTTLS without a certificate",
			change: func(*config.Listener) {}, noCert: true,
			commands: "EHLO x|STARTTLS", want: "454 4.7.0 ",
		}, {
			why:      "tls: required wants STARTTLS before MAIL",
			change:   func(l *config.Listener) { l.TLS = config.TLSRequired },
			commands: "EHLO x|MAIL FROM:<a@example.com>", want: "530 5.7.0 Encryption",
		}, {
			why:      "tls: required wants STARTTLS before AUTH, also on loopback",
			change:   func(l *config.Listener) { l.TLS = config.TLSRequired },
			commands: "EHLO x|AUTH PLAIN " + alicePlain, want: "530 5.7.0 Encryption",
		}, {
			why:      "AUTH in clear where the listener doesn't allow it",
			change:   func(l *config.Listener) { l.AllowInsecureAuth = false },
			commands: "EHLO x|AUTH PLAIN " + alicePlain, want: "538 5.7.11 ",
		}, {
			why:      "AUTH in clear where there is no TLS either",
			change:   func(l *config.Listener) { l.AllowInsecureAuth, l.TLS = false, config.TLSNone },
			commands: "EHLO x|AUTH PLAIN " + alicePlain, want: "538 5.7.11 ",
		}, {
			why:      "a mechanism that doesn't exist needs no TLS",
			change:   func(l *config.Listener) { l.AllowInsecureAuth = false },
			commands: "EHLO x|AUTH CRAM-MD5", want: "504 5.5.4 ",
		}, {
			why:      "auth: none lends an identity on loopback",
			change:   func(l *config.Listener) { l.Auth = config.AuthNone },
			commands: "EHLO x|MAIL FROM:<a@example.com>", want: "250 2.1.0 ",
		}, {
			why:      "auth: none lets a client log in as itself",
			change:   func(l *config.Listener) { l.Auth = config.AuthNone },
			commands: "EHLO x|AUTH PLAIN " + alicePlain, want: "235 2.7.0 ",
		}, {
			why:      "AUTH inside a transaction, by who has not logged in",
			change:   func(l *config.Listener) { l.Auth = config.AuthNone },
			commands: "EHLO x|MAIL FROM:<a@example.com>|AUTH PLAIN " + alicePlain, want: "503 5.5.1 A transaction is running",
		}, {
			why:      "AUTH after a transaction, by who has not logged in",
			change:   func(l *config.Listener) { l.Auth = config.AuthNone },
			commands: "EHLO x|MAIL FROM:<a@example.com>|RSET|AUTH PLAIN " + alicePlain, want: "235 2.7.0 ",
		}, {
			why:      "auth: none needs EHLO all the same",
			change:   func(l *config.Listener) { l.Auth = config.AuthNone },
			commands: "MAIL FROM:<a@example.com>", want: "503 5.5.1 ",
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			c := start(t, func(o *Options, _ *bench) {
				row.change(&o.Listeners[0])
				if row.noCert {
					o.TLS = nil
				}
			}).dial(t)
			commands := strings.Split(row.commands, "|")
			for _, command := range commands[:len(commands)-1] {
				c.do(command, "250")
			}
			c.do(commands[len(commands)-1], row.want)
		})
	}
}

// TestCapabilities checks what EHLO offers, where it depends on something.
func TestCapabilities(t *testing.T) {
	ehlo := func(t *testing.T, secure bool, change func(*config.Listener)) string {
		c := start(t, func(o *Options, b *bench) {
			b.judge.size, b.judge.recipients = 5000, 7
			change(&o.Listeners[0])
		}).dial(t)
		r := c.do("EHLO x", "250-")
		if secure {
			c.secure()
			r = c.do("EHLO x", "250-")
		}
		return r
	}
	always := []string{"PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN", "CHUNKING"}
	for _, row := range []struct {
		why            string
		secure         bool
		change         func(*config.Listener)
		offers, denies []string
	}{
		{
			why: "in clear with clear logins allowed", change: func(*config.Listener) {},
			offers: append([]string{"STARTTLS", "AUTH PLAIN LOGIN", "SIZE 1048576", "LIMITS RCPTMAX=100"}, always...),
			denies: []string{"REQUIRETLS", "BINARYMIME", "DELIVERBY", "MT-PRIORITY", "AUTH=PLAIN LOGIN"},
		}, {
			why: "in clear", change: func(l *config.Listener) { l.AllowInsecureAuth = false },
			offers: append([]string{"STARTTLS"}, always...), denies: []string{"AUTH PLAIN LOGIN"},
		}, {
			why: "under TLS", secure: true, change: func(l *config.Listener) { l.AllowInsecureAuth = false },
			offers: append([]string{"AUTH PLAIN LOGIN", "REQUIRETLS"}, always...), denies: []string{"STARTTLS"},
		}, {
			why: "the line old clients look for", change: func(l *config.Listener) { l.LegacyAuthLine = true },
			offers: append([]string{"AUTH PLAIN LOGIN", "AUTH=PLAIN LOGIN"}, always...),
		}, {
			why: "who is known sees its own limits", change: func(l *config.Listener) { l.Auth = config.AuthNone },
			offers: append([]string{"SIZE 5000", "LIMITS RCPTMAX=7"}, always...),
		},
	} {
		t.Run(row.why, func(t *testing.T) {
			lines := strings.Split(strings.NewReplacer("250-", "", "250 ", "").Replace(ehlo(t, row.secure, row.change)), "\n")
			has := func(keyword string) bool {
				for _, l := range lines {
					if l == keyword {
						return true
					}
				}
				return false
			}
			for _, keyword := range row.offers {
				if !has(keyword) {
					t.Errorf("%q is not offered: %q", keyword, lines)
				}
			}
			for _, keyword := range row.denies {
				if has(keyword) {
					t.Errorf("%q is offered: %q", keyword, lines)
				}
			}
		})
	}
}
