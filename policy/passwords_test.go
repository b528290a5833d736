package policy

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// stub is a Verifier that takes a second and counts.
type stub struct {
	right  string
	runs   *atomic.Int32
	now    *atomic.Int32 // running
	most   *atomic.Int32 // ever running at once
	stored string
}

func newStub(right, stored string) stub {
	return stub{right, new(atomic.Int32), new(atomic.Int32), new(atomic.Int32), stored}
}

func (s stub) String() string { return s.stored }

func (s stub) Verify(password string) bool {
	s.runs.Add(1)
	n := s.now.Add(1)
	for m := s.most.Load(); n > m && !s.most.CompareAndSwap(m, n); m = s.most.Load() {
	}
	time.Sleep(time.Second) // of the bubble
	s.now.Add(-1)
	return password == s.right
}

func from(last byte) net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, last), Port: 1} }

func TestPasswordIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, v := NewPasswords(), newStub("secret", "hash")
		for _, row := range []struct {
			reason, name, password string
			after                  time.Duration
			v                      stub
			ok, runs               bool
		}{
			{"first login", "a", "secret", 0, v, true, true},
			{"again", "a", "secret", time.Minute, v, true, false},
			{"a wrong password", "a", "Secret", 0, v, false, true},
			{"wrong is not remembered", "a", "Secret", 0, v, false, true},
			{"right still is", "a", "secret", 0, v, true, false},
			{"another user of the same password", "b", "secret", 0, v, true, true},
			{"name and password run together", "as", "ecret", 0, v, false, true},
			{"the line was changed", "a", "secret", 0, stub{"new", v.runs, v.now, v.most, "hash 2"}, false, true},
			{"and changed back", "a", "secret", 0, v, true, false},
			{"ten minutes later", "a", "secret", rememberFor, v, true, true},
		} {
			time.Sleep(row.after)
			before := v.runs.Load()
			ok, err := p.Verify(t.Context(), from(1), row.name, row.password, row.v)
			if ran := v.runs.Load() > before; err != nil || ok != row.ok || ran != row.runs {
				t.Errorf("%s: ok %v, verified %v, error %v", row.reason, ok, ran, err)
			}
		}
	})
}

func TestPasswordMemoryIsBounded(t *testing.T) {
	p := NewPasswords()
	for i := range 3 * rememberMost {
		p.remember(passwordKey{byte(i), byte(i >> 8), byte(i >> 16)})
	}
	if n := len(p.remembered); n > rememberMost || n < rememberMost/2 {
		t.Errorf("%d logins remembered", n)
	}
}

// TestPasswordStorm: a hub restarts and 500 sessions of one application log in
// at once; its password is checked once.
func TestPasswordStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, v := NewPasswords(), newStub("secret", "hash")
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() {
				if ok, err := p.Verify(t.Context(), from(1), "a", "secret", v); !ok || err != nil {
					t.Errorf("ok %v, error %v", ok, err)
				}
			})
		}
		wg.Wait()
		if n := v.runs.Load(); n != 1 {
			t.Errorf("verified %d times", n)
		}
	})
}

// TestGuessersDontStarveOthers: one address guesses without end; it is told to
// come back, uses half the machine at most, and another address gets its turn.
func TestGuessersDontStarveOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, v := NewPasswords(), newStub("secret", "hash")
		var busy, slow atomic.Int32
		var wg sync.WaitGroup
		for i := range 1000 {
			wg.Go(func() {
				_, err := p.Verify(t.Context(), from(66), "a", string(rune(1000+i)), v)
				switch {
				case errors.Is(err, errBusy):
					busy.Add(1)
				case errors.Is(err, errSlow):
					slow.Add(1)
				case err != nil:
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := busy.Load(); n != 1000-verifyPerAddress {
			t.Errorf("%d guesses turned away at once, want %d", n, 1000-verifyPerAddress)
		}
		start := time.Now()
		if _, _, _, err := p.join(keyOf("b", "x", "y"), hostOf(from(7))); err != nil {
			t.Errorf("another address is turned away too: %v", err)
		}
		wg.Wait()
		if took := time.Since(start); took > verifyWait+time.Second {
			t.Errorf("a login waited %v", took)
		}
		if n, slots := int(v.most.Load()), cap(p.slots); n > slots {
			t.Errorf("%d checks at once, %d allowed", n, slots)
		}
		if got, want := int(slow.Load()+v.runs.Load()), verifyPerAddress; got != want || slow.Load() == 0 {
			t.Errorf("%d were checked or told that it took too long, %d told so; want %d in all", got, slow.Load(), want)
		}
	})
}

// TestFirstOfEqualsGivesUp: the session whose check others wait for goes away
// before its turn; another takes over.
func TestFirstOfEqualsGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, v := NewPasswords(), newStub("secret", "hash")
		for range cap(p.slots) {
			p.slots <- struct{}{}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if ok, err := p.Verify(ctx, from(1), "a", "secret", v); ok || !errors.Is(err, context.Canceled) {
				t.Errorf("the first: ok %v, error %v", ok, err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if ok, err := p.Verify(t.Context(), from(2), "a", "secret", v); !ok || err != nil {
				t.Errorf("the second: ok %v, error %v", ok, err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		<-p.slots
		wg.Wait()
		if len(p.running) != 0 || len(p.perAddress) != 0 {
			t.Errorf("left: %d checks, %d addresses", len(p.running), len(p.perAddress))
		}
	})
}

func TestHostOf(t *testing.T) {
	for _, row := range []struct {
		reason string
		addr   net.Addr
		want   string
	}{
		{"IPv4", from(1), "192.0.2.1"},
		{"one IPv6 customer has a whole /64", &net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:3:4:5:6")}, "2001:db8:1:2::"},
		{"a unix socket", &net.UnixAddr{Name: "/x"}, "invalid IP"},
		{"not known", nil, "invalid IP"},
	} {
		if got := hostOf(row.addr).String(); got != row.want {
			t.Errorf("%s: got %s, want %s", row.reason, got, row.want)
		}
	}
}

// TestUnknownUserCostsAsMuch counts checks instead of measuring time.
func TestUnknownUserCostsAsMuch(t *testing.T) {
	var checked []string
	directory := newUsers(t, "a:"+cheapBcrypt(t, "1"), "b:"+cheapBcrypt(t, "2"))
	for _, c := range directory.byName {
		c.Password = spy{c.Password, &checked}
	}
	a := newAuthenticator(t, AuthOptions{Directory: directory})
	for range 2 {
		if _, id, err := feed(t, a, tcpClient(), "PLAIN", []byte("\x00nobody\x001")); id != nil || replyCode(err) != "535 5.7.8" {
			t.Fatalf("identity %v, error %v", id, err)
		}
		if _, id, err := feed(t, a, tcpClient(), "PLAIN", []byte("\x00nobody\x002")); id != nil || replyCode(err) != "535 5.7.8" {
			t.Fatalf("identity %v, error %v", id, err)
		}
	}
	// One of the two passwords is the decoy's: its success is remembered, and
	// still nobody is let in.
	if len(checked) != 3 || checked[0] != checked[1] || checked[1] != checked[2] {
		t.Errorf("checked against %q; expected always the same", checked)
	}
	if emptyDecoy.Password.Verify("") {
		t.Error("the decoy of an empty file has a password")
	}
	if _, id, err := feed(t, newAuthenticator(t, AuthOptions{}), tcpClient(), "PLAIN", []byte("\x00nobody\x002")); id != nil || replyCode(err) != "535 5.7.8" {
		t.Errorf("no users: identity %v, error %v", id, err)
	}
}

type spy struct {
	Verifier
	seen *[]string
}

func (s spy) Verify(password string) bool {
	*s.seen = append(*s.seen, s.String())
	return s.Verifier.Verify(password)
}

func BenchmarkCachedLogin(b *testing.B) {
	a := newAuthenticator(b, AuthOptions{Directory: newUsers(b, "billing:"+cheapBcrypt(b, "secret"))})
	c := tcpClient()
	response := []byte("\x00billing\x00secret")
	b.ReportAllocs()
	for b.Loop() {
		s, _ := a.Start(b.Context(), c, MechanismPlain, func(Login) {})
		if _, done, err := s.Next(response); !done || err != nil {
			b.Fatal(done, err)
		}
	}
}
