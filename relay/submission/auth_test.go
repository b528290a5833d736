package submission

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

func encode(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// TestAuthExchanges has one row for each way an exchange can go: lines the
// client sends after EHLO, with how the answers begin.
func TestAuthExchanges(t *testing.T) {
	for _, row := range []struct {
		why      string
		dialogue []string // command, answer, command, answer ...
	}{
		{"LOGIN", []string{"AUTH LOGIN", "334 VXNlcm5hbWU6", "YWxpY2U=", "334 UGFzc3dvcmQ6", encode("secret"), "235 2.7.0 "}},
		{"LOGIN with the user at once", []string{"AUTH LOGIN YWxpY2U=", "334 UGFzc3dvcmQ6", encode("secret"), "235 2.7.0 "}},
		{"PLAIN in two steps", []string{"AUTH PLAIN", "334 ", alicePlain, "235 2.7.0 "}},
		{"wrong, then right", []string{"AUTH PLAIN " + encode("\x00alice\x00wrong"), "535 5.7.8 ", "AUTH PLAIN " + alicePlain, "235 2.7.0 "}},
		{"cancelled", []string{"AUTH LOGIN", "334 ", "*", "501 5.7.0 ", "AUTH PLAIN " + alicePlain, "235 2.7.0 "}},
		{"no base64 in the middle", []string{"AUTH LOGIN", "334 ", "not base64!", "501 5.5.2 ", "NOOP", "250 "}},
		{"two lines for one by a bare LF", []string{"AUTH LOGIN", "334 ", "YWxp\nZQ==", "501 5.5.2 ", "NOOP", "250 "}},
		{"a bare CR in the middle", []string{"AUTH LOGIN", "334 ", "YWxp\rY2U=", "501 5.5.2 ", "NOOP", "250 "}},
		{"a command in the middle is no base64", []string{"AUTH LOGIN", "334 ", "MAIL FROM:<a@example.com>", "501 5.5.2 ", "MAIL FROM:<a@example.com>", "530 5.7.0 "}},
		{"a line too long for AUTH", []string{"AUTH PLAIN", "334 ", strings.Repeat("A", maxAuthLine+4), "500 5.5.6 ", "NOOP", "250 "}},
		{"a line longer than any buffer", []string{"AUTH PLAIN", "334 ", strings.Repeat("A", 100_000), "500 5.5.6 ", "NOOP", "250 "}},
		{"a long response within the bound is read", []string{"AUTH PLAIN", "334 ", encode("\x00alice\x00" + strings.Repeat("x", 8000)), "535 5.7.8 "}},
		{"a long initial response is read", []string{"AUTH PLAIN " + encode("\x00alice\x00"+strings.Repeat("x", 8000)), "535 5.7.8 "}},
		{"what a mechanism says by itself is not for clients", []string{"AUTH PLAIN =", "454 4.7.0 Login"}},
		{"EHLO keeps who is logged in", []string{"AUTH PLAIN " + alicePlain, "235 ", "EHLO y", "250-", "MAIL FROM:<a@example.com>", "250 "}},
		{"RSET keeps who is logged in", []string{"AUTH PLAIN " + alicePlain, "235 ", "RSET", "250 ", "MAIL FROM:<a@example.com>", "250 "}},
		{"a back end that is down lets nobody in", []string{"AUTH PLAIN " + encode("\x00down\x00secret"), "454 4.7.0 ", "MAIL FROM:<a@example.com>", "530 5.7.0 "}},
	} {
		t.Run(row.why, func(t *testing.T) {
			t.Parallel()
			c := start(t, nil).dial(t)
			c.do("EHLO client.example", "250-")
			for i := 0; i < len(row.dialogue); i += 2 {
				c.do(row.dialogue[i], row.dialogue[i+1])
			}
		})
	}
}

// TestAuthFailures: three wrong passwords end a session, each after a longer
// wait.
func TestAuthFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(o *Options, _ *bench) { o.Listeners, o.MaxFailures = nil, 2 })
		c := b.pipe(t, testListener)
		c.want("220 ")
		c.do("EHLO client.example", "250-")
		began := time.Now()
		c.do("AUTH PLAIN "+encode("\x00alice\x00wrong"), "535 5.7.8 ")
		c.do("AUTH LOGIN "+encode("bob"), "334 ")
		c.do(encode("wrong"), "535 5.7.8 ")
		c.want("421 4.7.0 ")
		c.closed()
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("two failures took %v, want 1 s + 2 s", took)
		}

		var log strings.Builder
		for _, e := range b.events.of(mail.EventAuth) {
			log.WriteString(e.Identity + " " + e.Mechanism + " " + e.Reply.String() + "\n")
			if e.Err != nil {
				log.WriteString(e.Err.Error())
			}
		}
		if got := log.String(); !strings.Contains(got, "alice PLAIN 535") || !strings.Contains(got, "bob LOGIN 535") || strings.Contains(got, "wrong") {
			t.Errorf("events tell\n%s", got)
		}
	})
}

// TestNobodyIsLockedOut: however many guesses were made for a user and from an
// address, the right password is answered at once.
func TestNobodyIsLockedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, func(o *Options, _ *bench) { o.Listeners = nil })
		here := keyOf(addrPort(fromLoopback{}.RemoteAddr()).Addr())
		for range 1000 {
			b.penalties.failed(here, "alice", 1, time.Now())
		}
		c := b.pipe(t, testListener)
		c.want("220 ")
		began := time.Now()
		c.login()
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
		if w := b.penalties.failed(keyOf(netip.MustParseAddr("192.0.2.1")), "alice", 1, time.Now()); w != penaltyFirst {
			t.Errorf("what others guessed was not forgiven: the next failure costs %v", w)
		}
		if e := b.events.of(mail.EventAuth); len(e) != 1 || e[0].Identity != "alice" || e[0].Mechanism != "PLAIN" || e[0].Reply.Code != 235 {
			t.Errorf("events tell %+v", e)
		}
	})
}

func TestPenalties(t *testing.T) {
	p := newPenalties()
	now := time.Unix(1_000_000, 0)
	addr := func(i byte) addressKey { return addressKey{mustPrefix([4]byte{10, 0, 0, i})} }

	var waits []time.Duration
	for i := range 12 { // each in a session of its own
		waits = append(waits, p.failed(addr(1), "u"+string(rune('a'+i)), 1, now))
	}
	if waits[0] != penaltyFirst || waits[3] != penaltyFirst || waits[5] <= waits[3] || waits[11] != penaltyMost {
		t.Errorf("an address that fails waits %v", waits)
	}
	if w := p.failed(addr(2), "other", 1, now); w != penaltyFirst {
		t.Errorf("another address waits %v", w)
	}
	for i := range 20 {
		p.failed(addr(byte(100+i)), "victim", 1, now)
	}
	if w := p.failed(addr(3), "victim", 1, now); w != penaltyMost {
		t.Errorf("a user that is being guessed from many addresses: a failure waits %v", w)
	}
	if w := p.failed(addr(1), "", 1, now.Add(24*time.Hour)); w != penaltyFirst {
		t.Errorf("a day later a failure waits %v", w)
	}
	p.forgive(addr(3), "victim")
	if w := p.failed(addr(4), "victim", 1, now); w != penaltyFirst {
		t.Errorf("after a success a failure waits %v", w)
	}
}

// TestPenaltiesAreBounded: a guesser with many addresses and names does not make
// the memory grow, nor itself forgotten.
func TestPenaltiesAreBounded(t *testing.T) {
	p := newPenalties()
	now := time.Unix(1_000_000, 0)
	worst := addressKey{mustPrefix([4]byte{192, 0, 2, 1})}
	for range 50 {
		p.failed(worst, "worst", 1, now)
	}
	for i := range 3 * penaltyCount {
		p.failed(addressKey{mustPrefix([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})}, encode(string(rune(i))), 1, now)
	}
	if len(p.addresses.tallies) > penaltyCount || len(p.users.tallies) > penaltyCount {
		t.Errorf("%d addresses and %d users are remembered", len(p.addresses.tallies), len(p.users.tallies))
	}
	if w := p.failed(worst, "", 1, now); w != penaltyMost {
		t.Errorf("the worst was forgotten: it waits %v", w)
	}
}

func TestClaimedUser(t *testing.T) {
	for _, row := range []struct {
		mechanism, response, want string
	}{
		{"PLAIN", "\x00alice\x00secret", "alice"},
		{"PLAIN", "admin\x00alice\x00secret", "alice"},
		{"PLAIN", "alice secret", ""},
		{"PLAIN", "\x00alice\x00se\x00cret", ""},
		{"LOGIN", "alice", "alice"},
		{"LOGIN", "a\r\nlevel=info", "a  level=info"},
		{"LOGIN", "\xff\xfe", "?"},
		{"SCRAM-SHA-256", "n,,n=alice,r=abc", "alice"},
		{"SCRAM-SHA-256-PLUS", "p=tls-exporter,,n=alice,r=abc", "alice"},
		{"EXTERNAL", "alice", ""},
	} {
		if got := claimedUser(row.mechanism, 1, []byte(row.response)); got != row.want {
			t.Errorf("%s %q: got %q, want %q", row.mechanism, row.response, got, row.want)
		}
	}
	if got := claimedUser("LOGIN", 2, []byte("secret")); got != "" {
		t.Errorf("the second response to LOGIN is the password: %q", got)
	}
}
