package submission

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
)

// reloaded is a server whose users can be swapped for others.
func reloaded(t *testing.T, change func(*Options)) (b *bench, users *atomic.Pointer[fakeAuth]) {
	users = new(atomic.Pointer[fakeAuth])
	b = start(t, func(o *Options, b *bench) {
		users.Store(b.auth)
		o.Authenticator = func() policy.Authenticator { return users.Load() }
		if change != nil {
			change(o)
		}
	})
	return b, users
}

// TestGroupsOfNow: a session that has logged in is in the groups of now with its
// next message.
func TestGroupsOfNow(t *testing.T) {
	b, users := reloaded(t, nil)
	c := b.dial(t)
	c.login()
	c.begin()
	c.do(".", "250 ")
	c.do("MAIL FROM:<a@example.com>", "250 ")
	users.Store(&fakeAuth{groups: []string{"staging"}})
	c.do("MAIL FROM:<a@example.com>", "503 ")
	c.do("RCPT TO:<b@example.net>", "250 ")
	c.do("DATA", "354 ")
	c.do(".", "250 ")
	c.do("EHLO again.example", "250-")
	c.begin()
	c.do(".", "250 ")
	var groups [][]string
	for _, m := range b.queue.all() {
		groups = append(groups, m.envelope.Identity.Groups)
	}
	if want := [][]string{nil, nil, {"staging"}}; !slices.EqualFunc(groups, want, slices.Equal) {
		t.Errorf("the messages came from groups %q, want %q", groups, want)
	}
	if id := b.queue.all()[2].envelope.Identity; id.Name != "alice" || id.Helo != "again.example" || id.Listener != "test" || !id.Remote.IsValid() {
		t.Errorf("the last came from %+v", id)
	}
}

// TestLoginThatIsGone: a user who was removed, or has another password, sends no
// other message.
func TestLoginThatIsGone(t *testing.T) {
	gone := mail.Errorf(421, mail.EnhancedCode{4, 3, 2}, "Connect again").Because(errWrongPassword)
	b, users := reloaded(t, nil)
	c := b.dial(t)
	c.login()
	c.do("MAIL FROM:<a@example.com>", "250 ")
	users.Store(&fakeAuth{renew: gone})
	c.do("RCPT TO:<b@example.net>", "250 ")
	c.do("DATA", "354 ")
	c.do(".", "250 ")
	c.do("MAIL FROM:<a@example.com>", "421 4.3.2 Connect again")
	c.closed()
	if e := b.events.of(mail.EventRejected); len(e) != 1 || e[0].Identity != "alice" || e[0].Err == nil || e[0].Reply.Code != 421 {
		t.Errorf("recorded %+v", e)
	}
}

// TestLoginThatCantBeAsked: while nobody can say whether a user is still there, he
// sends nothing and may ask again.
func TestLoginThatCantBeAsked(t *testing.T) {
	b, users := reloaded(t, nil)
	c := b.dial(t)
	c.login()
	users.Store(&fakeAuth{renew: mail.Errorf(454, mail.EnhancedCode{4, 7, 0}, "Not now")})
	c.do("MAIL FROM:<a@example.com>", "454 4.7.0 ")
	users.Store(&fakeAuth{})
	c.do("MAIL FROM:<a@example.com>", "250 ")
}

// TestListenersIdentityStays: what a listener lends is nobody's login.
func TestListenersIdentityStays(t *testing.T) {
	b, users := reloaded(t, func(o *Options) {
		o.Listeners[0].Auth, o.Listeners[0].TLS = config.AuthNone, config.TLSNone
	})
	c := b.dial(t)
	c.do("EHLO client.example", "250-")
	users.Store(&fakeAuth{renew: errWrongPassword})
	c.do("MAIL FROM:<a@example.com>", "250 ")
}
