package submission

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

func mustPrefix(a [4]byte) netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4(a), 32) }

func TestTooManyConnections(t *testing.T) {
	for _, row := range []struct {
		why    string
		change func(*Options, *bench)
		want   string
	}{
		{"in all", func(o *Options, _ *bench) { o.Limits.MaxConnections = 2 }, "421 4.3.2 "},
		{"from an address", func(o *Options, _ *bench) { o.Limits.MaxConnectionsPerAddress = 2 }, "421 4.7.0 "},
		{"of an identity", func(o *Options, _ *bench) {
			o.Listeners[0].Auth, o.Limits.MaxConnectionsPerIdentity = config.AuthNone, 2
		}, "421 4.7.0 "},
	} {
		t.Run(row.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var conf config.Listener
				b := start(t, func(o *Options, b *bench) {
					row.change(o, b)
					conf, o.Listeners = o.Listeners[0], nil
				})
				first, second := b.pipe(t, conf), b.pipe(t, conf)
				first.want("220 ")
				second.want("220 ")
				c := b.pipe(t, conf)
				c.want(row.want)
				c.closed()
				if e := b.events.of(mail.EventRejected); len(e) != 1 || e[0].Reply.Code != 421 {
					t.Errorf("events tell %+v", e)
				}
				first.do("QUIT", "221 ")
				first.closed()
				synctest.Wait() // who leaves makes room
				b.pipe(t, conf).want("220 ")
			})
		})
	}
	t.Run("of an identity, by AUTH", func(t *testing.T) {
		b := start(t, func(o *Options, b *bench) { b.judge.connections = 1 })
		b.dial(t).login()
		c := b.dial(t)
		c.do("EHLO x", "250-")
		c.do("AUTH PLAIN "+alicePlain, "421 4.7.0 ")
		c.closed()
		other := b.dial(t)
		other.do("EHLO x", "250-")
		other.do("AUTH PLAIN "+encode("\x00alice2\x00secret"), "235 ")
	})
	t.Run("of an identity, at STARTTLS", func(t *testing.T) {
		b := start(t, func(o *Options, _ *bench) { o.Listeners[0].Auth = config.AuthNone })
		b.dial(t)
		c := b.dial(t)
		b.reloaded(t, func(r *Reloadable) { r.Limits.MaxConnectionsPerIdentity = 1 })
		c.do("EHLO x", "250-")
		c.do("STARTTLS", "220 ")
		c.encrypt()
		c.want("421 4.7.0 ")
		if e := b.events.of(mail.EventRejected); len(e) != 1 || e[0].Identity != "local" {
			t.Errorf("events tell %+v", e)
		}
	})
	t.Run("with implicit TLS", func(t *testing.T) {
		b := start(t, func(o *Options, _ *bench) { o.Listeners[0].TLS, o.Limits.MaxConnections = config.TLSImplicit, 1 })
		c := b.connect(t)
		c.encrypt()
		c.want("220 ")
		c = b.connect(t)
		c.encrypt()
		c.want("421 4.3.2 ")
	})
}

// TestCrowd: while three quarters of the connections are taken, nobody keeps one for
// long without having logged in, whatever it says meanwhile.
func TestCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(o *Options, _ *bench) { o.Listeners, o.Limits.MaxConnections = nil, 8 })
		connect := func() *client {
			c := b.pipe(t, testListener)
			c.want("220 ")
			return c
		}
		user, early := connect(), connect()
		user.login()
		early.do("EHLO x", "250-")
		time.Sleep(crowdedPatience / 2)
		crowd := []*client{connect(), connect(), connect(), connect(), connect()}

		early.do("NOOP", "250 ")
		began := time.Now()
		early.want("421 4.3.2 Too many connections")
		early.closed()
		if took := time.Since(began); took != crowdedPatience/2 {
			t.Errorf("who was there before has %v, want %v", took, crowdedPatience/2)
		}
		for _, c := range crowd {
			c.want("421 ")
			c.closed()
		}
		if took := time.Since(began); took != crowdedPatience {
			t.Errorf("who comes then has %v, want %v", took, crowdedPatience)
		}
		user.do("NOOP", "250 ")

		late := connect()
		time.Sleep(crowdedPatience + time.Second)
		late.do("NOOP", "250 ")
	})
}

func TestAddressKey(t *testing.T) {
	for _, row := range []struct {
		why, a, b string
		same      bool
	}{
		{"two IPv4 addresses", "192.0.2.1", "192.0.2.2", false},
		{"two IPv6 addresses of a host", "2001:db8:0:1::1", "2001:db8:0:1::2", true},
		{"two IPv6 networks", "2001:db8:0:1::1", "2001:db8:0:2::1", false},
	} {
		if same := keyOf(netip.MustParseAddr(row.a)) == keyOf(netip.MustParseAddr(row.b)); same != row.same {
			t.Errorf("%s: the same is %v", row.why, same)
		}
	}
}

// TestCommandsWithoutProgress: floods end, and a session that gets mail through
// may send as many commands as it likes.
func TestCommandsWithoutProgress(t *testing.T) {
	for _, row := range []struct {
		why, stage, command string
		most                int
	}{
		{"NOOP", "hello", "NOOP", wasteLimit},
		{"RSET", "hello", "RSET", wasteLimit},
		{"EHLO", "hello", "EHLO x", wasteLimit},
		{"VRFY", "hello", "VRFY a", wasteLimit},
		{"nonsense", "hello", "XYZZY", wasteLimit / wasteError},
		{"MAIL without AUTH", "hello", "MAIL FROM:<a@example.com>", wasteLimit / wasteError},
		{"MAIL that is denied", "login", "MAIL FROM:<forged@example.com>", wasteLimit},
		{"RCPT that is denied", "mail", "RCPT TO:<denied@example.net>", testLimits.MaxRecipients + wasteLimit},
		{"RCPT that is malformed", "mail", "RCPT TO:<b..c@example.net>", testLimits.MaxRecipients + wasteLimit},
		{"RCPT of the same", "rcpt", "RCPT TO:<b@example.net>", maxSurplus*testLimits.MaxRecipients + wasteLimit},
		{"BDAT of nothing", "rcpt", "BDAT 0", wasteLimit},
	} {
		t.Run(row.why, func(t *testing.T) {
			c := start(t, nil).dial(t)
			for _, command := range stages[row.stage] {
				c.send(command + "\r\n")
				c.reply()
			}
			go func() { _, _ = c.conn.Write([]byte(strings.Repeat(row.command+"\r\n", row.most+10))) }()
			for i := 0; ; i++ {
				if r := c.reply(); strings.HasPrefix(r, "421 4.7.0 ") {
					break
				}
				if i > row.most {
					t.Fatalf("%d commands were answered", i)
				}
			}
			c.closed()
		})
	}
	t.Run("with progress", func(t *testing.T) {
		c := start(t, nil).dial(t)
		c.login()
		for range 5 {
			for range wasteLimit / 2 {
				c.do("NOOP", "250 ")
			}
			c.begin()
			c.do("x: y\r\n\r\nbody\r\n.", "250 ")
		}
	})
}

// TestLongListWithRefusals: a message to many, of whom most are denied by a policy or
// written wrongly, is no flood.
func TestLongListWithRefusals(t *testing.T) {
	for _, row := range []struct{ why, rcpt, want string }{
		{"denied", "<denied@example.net>", "550 "},
		{"malformed", "<b..c@example.net>", "501 "},
		{"a parameter nobody offered", "<c@example.net> XOORG=x", "555 "},
	} {
		t.Run(row.why, func(t *testing.T) {
			b := start(t, func(o *Options, _ *bench) { o.Limits.MaxRecipients = 2 * wasteLimit })
			c := b.dial(t)
			c.login()
			c.do("MAIL FROM:<a@example.com>", "250 ")
			for range 2*wasteLimit - 1 {
				c.do("RCPT TO:"+row.rcpt, row.want)
			}
			c.do("RCPT TO:<b@example.net>", "250 ")
			c.do("DATA", "354 ")
			c.do("x: y\r\n\r\n.", "250 ")
		})
	}
}

// TestSameRecipientTwice: whoever is named twice in the same words gets one copy.
func TestSameRecipientTwice(t *testing.T) {
	b := start(t, func(o *Options, _ *bench) { o.Limits.MaxRecipients = 3 })
	c := b.dial(t)
	c.login()
	c.do("MAIL FROM:<a@example.com>", "250 ")
	for _, rcpt := range []string{"<b@example.net>", "<b@EXAMPLE.net>", "<B@example.net>", "<b@example.net> NOTIFY=NEVER", "<b@example.net>"} {
		c.do("RCPT TO:"+rcpt, "250 2.1.5 ")
	}
	c.do("DATA", "354 ")
	c.do("x: y\r\n\r\n.", "250 ")
	var got []string
	for _, r := range b.queue.all()[0].envelope.Recipients {
		got = append(got, fmt.Sprint(r.Address, r.Notify))
	}
	if want := []string{"b@example.net 0", "B@example.net 0", "b@example.net 1"}; !slices.Equal(got, want) {
		t.Errorf("it goes to %q, want %q", got, want)
	}
}

func TestTooManyRecipients(t *testing.T) {
	b := start(t, func(o *Options, _ *bench) { o.Limits.MaxRecipients = 3 })
	c := b.dial(t)
	c.login()
	c.do("MAIL FROM:<a@example.com>", "250 ")
	for i := range 3 {
		c.do(fmt.Sprintf("RCPT TO:<b%d@example.net>", i), "250 ")
	}
	c.do("RCPT TO:<b3@example.net>", "452 4.5.3 ")
	c.do("DATA", "354 ")
	c.do("x: y\r\n\r\nbody\r\n.", "250 ")
	if n := len(b.queue.all()[0].envelope.Recipients); n != 3 {
		t.Errorf("%d recipients", n)
	}
}

// TestListLongerThanTheLimit: whoever names far too many is told so for each, and
// then sends to those that were taken.
func TestListLongerThanTheLimit(t *testing.T) {
	b := start(t, func(o *Options, _ *bench) { o.Limits.MaxRecipients = wasteLimit })
	c := b.dial(t)
	c.login()
	c.do("MAIL FROM:<a@example.com>", "250 ")
	for i := range 3 * wasteLimit {
		want := "250 "
		if i >= wasteLimit {
			want = "452 4.5.3 "
		}
		c.do(fmt.Sprintf("RCPT TO:<b%d@example.net>", i), want)
	}
	c.do("DATA", "354 ")
	c.do("x: y\r\n\r\nbody\r\n.", "250 ")
}

// TestTimeouts: each clock of a session is answered with 421, and recorded unless
// the client has never said a word.
func TestTimeouts(t *testing.T) {
	const short = 10 * time.Second
	command := func(l *config.Submission) { l.CommandTimeout = short }
	for _, row := range []struct {
		why   string
		limit func(*config.Submission)
		act   func(*client)
		want  string
	}{
		{"no command", command, func(*client) {}, "421 4.4.2 Timeout"},
		{"half a command", command, func(c *client) { c.send("NOO") }, "421 4.4.2 Timeout"},
		{"in the middle of AUTH", command, func(c *client) {
			c.do("EHLO x", "250-")
			c.do("AUTH LOGIN", "334 ")
		}, "421 4.4.2 Timeout"},
		{"in a transaction", command, func(c *client) {
			c.login()
			c.do("MAIL FROM:<a@example.com>", "250 ")
		}, "421 4.4.2 Timeout"},
		{"session", func(l *config.Submission) { l.SessionTimeout = short }, func(c *client) { c.do("EHLO x", "250-") }, "421 4.4.2 Session"},
		{"between two chunks", command, func(c *client) {
			c.login()
			c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\n" + bdat("x: y\r\n", false))
			c.want("250 ")
			c.want("250 ")
			c.want("250 ")
		}, "421 4.4.2 Timeout"},
		{"inside of a chunk", func(l *config.Submission) { l.DataTimeout = short }, func(c *client) {
			c.login()
			c.send("MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nBDAT 1000 LAST\r\nQUIT\r\n")
			c.want("250 ")
			c.want("250 ")
		}, "421 4.4.2 Timeout"},
		{"a bare LF that waits for an answer", func(*config.Submission) {}, func(c *client) { c.send("EHLO x\n") }, "500 5.5.2 Commands must end in CR LF"},
	} {
		t.Run(row.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, func(o *Options, _ *bench) {
					o.Listeners = nil
					row.limit(&o.Limits)
				})
				c := b.pipe(t, testListener)
				c.want("220 ")
				row.act(c)
				c.want(row.want)
				c.closed()
				if n := len(b.queue.all()); n != 0 {
					t.Errorf("%d messages were accepted", n)
				}
				events := b.events.of(mail.EventRejected)
				if row.why == "no command" {
					if len(events) != 0 {
						t.Errorf("a probe of the port is recorded as %+v", events)
					}
				} else if len(events) != 1 || !strings.HasPrefix(events[0].Reply.String(), row.want) {
					t.Errorf("recorded %+v", events)
				}
			})
		})
	}
}

// TestClientThatNeverReads: it takes up a session, or a handshake, no longer than one
// that never sends.
func TestClientThatNeverReads(t *testing.T) {
	implicit := testListener
	implicit.TLS = config.TLSImplicit
	for _, row := range []struct {
		why  string
		conf config.Listener
		act  func(*client)
	}{
		{"replies", testListener, func(*client) {}},
		{"a handshake", implicit, func(c *client) {
			deaf := tls.Client(unread{c.conn}, &tls.Config{InsecureSkipVerify: true})
			_ = deaf.Handshake()
		}},
	} {
		t.Run(row.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := start(t, func(o *Options, _ *bench) { o.Listeners, o.Limits.CommandTimeout = nil, 10*time.Second })
				c := b.pipe(t, row.conf)
				row.act(c)
				time.Sleep(11 * time.Second)
				if _, err := c.conn.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("the connection is still open (%v)", err)
				}
			})
		})
	}
}

// unread is a connection on which nobody reads.
type unread struct{ net.Conn }

func (unread) Read([]byte) (int, error) { return 0, io.EOF }

// TestBareLFAndGoodbye: netcat sends what it has, closes its half, and then reads.
func TestBareLFAndGoodbye(t *testing.T) {
	b := start(t, nil)
	c := b.dial(t)
	c.send("EHLO x\nQUIT\n")
	if err := c.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.want("500 5.5.2 Commands must end in CR LF")
	c.closed()
	if e := b.events.of(mail.EventRejected); len(e) != 1 || e[0].Reply.Code != 500 {
		t.Errorf("recorded %+v", e)
	}
}

// TestTimeoutInData: after a timeout the rest of the body is never read as
// commands, however long the client goes on.
func TestTimeoutInData(t *testing.T) {
	for _, row := range []struct {
		why   string
		limit func(*config.Submission)
	}{
		{"a block that doesn't come", func(l *config.Submission) { l.DataTimeout = 300 * time.Millisecond }},
		{"content that never ends", func(l *config.Submission) { l.MessageTimeout = 300 * time.Millisecond }},
	} {
		t.Run(row.why, func(t *testing.T) {
			b := start(t, func(o *Options, _ *bench) { row.limit(&o.Limits) })
			c := b.dial(t)
			c.login()
			c.begin()
			c.send("x: y\r\n\r\nbody\r\n")
			c.want("421 4.4.2 ")
			_, _ = c.conn.Write([]byte("\r\nRSET\r\n" + smuggled + "NOOP\r\n"))
			c.closed()
			if n := len(b.queue.all()); n != 0 {
				t.Errorf("%d messages were accepted", n)
			}
		})
	}
}

// TestIdleClientsCostNobody: with many idle and slow clients a normal one is
// served as before.
func TestIdleClientsCostNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(o *Options, _ *bench) { o.Listeners = nil })
		for i := range 200 {
			c := b.pipe(t, testListener)
			c.want("220 ")
			if i%4 == 0 {
				c.send("EHLO slo")
			}
		}
		c := b.pipe(t, testListener)
		began := time.Now()
		c.want("220 ")
		c.login()
		c.begin()
		c.do("x: y\r\n\r\nbody\r\n.", "250 ")
		if took := time.Since(began); took > 0 {
			t.Errorf("it waited %v", took)
		}
	})
}
