package policy

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

func newPolicy(t testing.TB, counters *Counters, cfg ...config.Policy) *Policy {
	t.Helper()
	p, err := New(cfg, counters)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func path(t testing.TB, s string) mail.Path {
	t.Helper()
	p, err := mail.ParsePath("<" + s + ">")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func says(t *testing.T, reason string, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		e, ok := err.(*mail.Error)
		if !ok {
			t.Errorf("%s: %T is no *mail.Error: %v", reason, err, err)
			return
		}
		got = e.Reply.String()
	}
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", reason, got, want)
	}
}

// example is the policy of the manual and one for people.
var example = []config.Policy{
	{
		Match:      config.PolicyMatch{User: config.StringList{"billing"}},
		Senders:    []string{"*@example.com"},
		Recipients: config.PolicyRecipients{Deny: []string{"*@competitor.example"}},
		Limits: config.PolicyLimits{
			Messages: config.Rate{Count: 1000, Per: time.Hour}, Recipients: 100, Size: 25 << 20,
		},
	},
	{
		Name:       "staging",
		Match:      config.PolicyMatch{User: config.StringList{"staging"}},
		Recipients: config.PolicyRecipients{Allow: []string{"*@example.com", "qa@partner.example"}},
	},
	{
		Match:   config.PolicyMatch{User: config.StringList{"robot"}},
		Senders: []string{"noreply*@*"},
	},
}

func TestSenders(t *testing.T) {
	for _, row := range []struct {
		reason, user, from string
		open               bool // no policies key
		want               string
	}{
		{"no policies: any sender", "billing", "ceo@bank.example", true, ""},
		{"no policies: the null reverse-path", "billing", "", true, ""},
		{"what the rule gives", "billing", "Invoices@Example.com", false, ""},
		{"what it doesn't", "billing", "ceo@bank.example", false,
			`550 5.7.1 policy "policies[0]": sender <ceo@bank.example> is not allowed; allowed: *@example.com`},
		{"a subdomain", "billing", "a@sub.example.com", false,
			`550 5.7.1 policy "policies[0]": sender <a@sub.example.com> is not allowed; allowed: *@example.com`},
		{"the null reverse-path, for a bounce", "billing", "", false, ""},
		{"a rule without senders gives all", "staging", "ceo@bank.example", false, ""},
		{"no rule, an address: itself", "alice@example.org", "alice@example.org", false, ""},
		{"no rule, an address: itself in another case", "Alice@example.org", "alice@EXAMPLE.org", false, ""},
		{"no rule, an address: not with a tag", "alice@example.org", "alice+x@example.org", false,
			`550 5.7.1 no policy applies to you: sender <alice+x@example.org> is not allowed; allowed: alice@example.org`},
		{"no rule, an address: not another", "alice@example.org", "bob@example.org", false,
			`550 5.7.1 no policy applies to you: sender <bob@example.org> is not allowed; allowed: alice@example.org`},
		{"no rule, an address with a star: no pattern", "*@example.org", "bob@example.org", false,
			`550 5.7.1 no policy applies to you: sender <bob@example.org> is not allowed; allowed: *@example.org`},
		{"no rule, no address: nothing", "shop", "shop@example.com", false,
			`550 5.7.1 no policy applies to you: sender <shop@example.com> is not allowed; allowed: nothing`},
		{"no rule: the null reverse-path all the same", "shop", "", false, ""},
		{"names are matched octet for octet", "Billing", "a@example.com", false,
			`550 5.7.1 no policy applies to you: sender <a@example.com> is not allowed; allowed: nothing`},
	} {
		cfg := example
		if row.open {
			cfg = nil
		}
		p := newPolicy(t, nil, cfg...)
		id := &mail.Identity{Name: row.user}
		says(t, row.reason, p.Sender(id, path(t, row.from), 0), row.want)
		if row.from == "" {
			continue
		}
		_, err := p.Message(id, 0, []mail.Address{mail.MustParseAddress(row.from)})
		says(t, row.reason+" (header From)", err, strings.Replace(row.want, "sender", "header From", 1))
	}
}

func TestHeaderFrom(t *testing.T) {
	p := newPolicy(t, nil, example...)
	good, bad := mail.MustParseAddress("a@example.com"), mail.MustParseAddress("ceo@bank.example")
	for _, row := range []struct {
		reason, user string
		from         []mail.Address
		want         string
	}{
		{"one", "billing", []mail.Address{good}, ""},
		{"every author counts", "billing", []mail.Address{good, bad},
			`550 5.7.1 policy "policies[0]": header From <ceo@bank.example> is not allowed; allowed: *@example.com`},
		{"none, where only some are allowed", "billing", nil,
			`550 5.7.1 policy "policies[0]": no address in the header From; allowed: *@example.com`},
		{"none, where any is allowed", "staging", nil, ""},
		{"what could not be read has no domain", "billing", []mail.Address{{Local: "garbage"}},
			`550 5.7.1 policy "policies[0]": header From <garbage> is not allowed; allowed: *@example.com`},
		{"nor any that a name in any domain could stand for", "robot", []mail.Address{{Local: "noreply <ceo@bank.example> x"}},
			`550 5.7.1 policy "policies[2]": header From <"noreply <ceo@bank.example> x"> is not allowed; allowed: noreply*@*`},
		{"what could not be read ends no line of the reply", "billing", []mail.Address{{Local: "a\r\n250 b"}},
			`550 5.7.1 policy "policies[0]": header From <"a??250 b"> is not allowed; allowed: *@example.com`},
		{"nor makes it long", "billing", []mail.Address{{Local: strings.Repeat("x", 1<<20)}},
			`550 5.7.1 policy "policies[0]": header From <` + strings.Repeat("x", 256) + `> is not allowed; allowed: *@example.com`},
	} {
		_, err := p.Message(&mail.Identity{Name: row.user}, 0, row.from)
		says(t, row.reason, err, row.want)
	}
}

func TestRecipients(t *testing.T) {
	p := newPolicy(t, nil, example...)
	for _, row := range []struct {
		reason, user, rcpt string
		accepted           int
		want               string
	}{
		{"anybody", "billing", "x@example.net", 0, ""},
		{"denied", "billing", "x@Competitor.example", 0, `550 5.7.1 policy "policies[0]": recipient <x@competitor.example> is denied; denied: *@competitor.example`},
		{"the hundredth", "billing", "x@example.net", 99, ""},
		{"one too many", "billing", "x@example.net", 100, `452 4.5.3 policy "policies[0]": at most 100 recipients in a message`},
		{"denied, whatever the number", "billing", "x@competitor.example", 100, `550 5.7.1 policy "policies[0]": recipient <x@competitor.example> is denied; denied: *@competitor.example`},
		{"allowed", "staging", "x@example.com", 5000, ""},
		{"not allowed", "staging", "x@example.net", 0,
			`550 5.7.1 policy "staging": recipient <x@example.net> is not allowed; allowed: *@example.com, qa@partner.example`},
		{"postmaster of nowhere", "staging", "postmaster", 0,
			`550 5.7.1 policy "staging": recipient <postmaster> is not allowed; allowed: *@example.com, qa@partner.example`},
		{"no rule: recipients are free", "shop", "x@example.net", 5000, ""},
	} {
		err := p.Recipient(&mail.Identity{Name: row.user}, mail.MustParseAddress(row.rcpt), row.accepted)
		says(t, row.reason, err, row.want)
	}
}

func TestSizes(t *testing.T) {
	p := newPolicy(t, nil,
		config.Policy{Name: "size", Match: config.PolicyMatch{User: config.StringList{"a"}}, Limits: config.PolicyLimits{Size: 1000}},
		config.Policy{Name: "bytes", Limits: config.PolicyLimits{Bytes: config.SizeRate{Size: 500, Per: time.Hour}, Connections: 3}},
	)
	for _, row := range []struct {
		reason, user string
		size         int64
		want         string
	}{
		{"exactly", "a", 1000, ""},
		{"one over", "a", 1001, `552 5.3.4 policy "size": message of 1001 octets; at most 1000`},
		{"not said", "a", 0, ""},
		{"more than ever fits", "b", 501, `552 5.3.4 policy "bytes": message of 501 octets; at most 500`},
	} {
		id := &mail.Identity{Name: row.user}
		says(t, row.reason, p.Sender(id, mail.Path{}, row.size), row.want)
		_, err := p.Message(id, row.size, nil)
		says(t, row.reason, err, row.want)
	}
	if size, recipients := p.Limits(&mail.Identity{Name: "a"}); size != 1000 || recipients != 0 {
		t.Errorf("limits %d, %d", size, recipients)
	}
	if a, b := p.Connections(&mail.Identity{Name: "a"}), p.Connections(&mail.Identity{Name: "b"}); a != 0 || b != 3 {
		t.Errorf("connections %d and %d, want 0 and 3", a, b)
	}
}

func TestMatching(t *testing.T) {
	prefix := netip.MustParsePrefix
	p := newPolicy(t, nil,
		config.Policy{Name: "user and network", Match: config.PolicyMatch{User: config.StringList{"a", "b"}, Network: []netip.Prefix{prefix("10.1.2.3/8")}}},
		config.Policy{Name: "group", Match: config.PolicyMatch{Group: config.StringList{"ops", "dev"}}},
		config.Policy{Name: "listener", Match: config.PolicyMatch{Listener: config.StringList{":2525"}}},
		config.Policy{Name: "IPv6", Match: config.PolicyMatch{Network: []netip.Prefix{prefix("2001:db8::/32")}}},
		config.Policy{Name: "mapped", Match: config.PolicyMatch{Network: []netip.Prefix{prefix("::ffff:192.0.2.0/120")}}},
		config.Policy{Name: "team", Match: config.PolicyMatch{User: config.StringList{"team-*", "*@example.com"}}},
		config.Policy{Name: "rest", Match: config.PolicyMatch{User: config.StringList{"a", "rest"}}},
	)
	for _, row := range []struct {
		reason string
		id     mail.Identity
		want   string
	}{
		{"user and network", mail.Identity{Name: "a", Remote: netip.MustParseAddrPort("10.200.0.1:1")}, "user and network"},
		{"mapped into IPv6", mail.Identity{Name: "a", Remote: netip.MustParseAddrPort("[::ffff:10.200.0.1]:1")}, "user and network"},
		{"the user from elsewhere", mail.Identity{Name: "a", Remote: netip.MustParseAddrPort("11.0.0.1:1")}, "rest"},
		{"the user on a unix socket", mail.Identity{Name: "a"}, "rest"},
		{"one of its groups", mail.Identity{Name: "c", Groups: []string{"x", "dev"}}, "group"},
		{"the first that matches wins", mail.Identity{Name: "a", Groups: []string{"ops"}, Listener: ":2525"}, "group"},
		{"listener", mail.Identity{Name: "c", Listener: ":2525"}, "listener"},
		{"IPv6", mail.Identity{Name: "c", Remote: netip.MustParseAddrPort("[2001:db8::1]:1")}, "IPv6"},
		{"IPv6 with a zone", mail.Identity{Name: "c", Remote: netip.MustParseAddrPort("[2001:db8::1%eth0]:1")}, "IPv6"},
		{"a rule written as mapped", mail.Identity{Name: "c", Remote: netip.MustParseAddrPort("192.0.2.9:1")}, "mapped"},
		{"a star in a user's name", mail.Identity{Name: "team-shop"}, "team"},
		{"a star in front", mail.Identity{Name: "a@example.com"}, "team"},
		{"case matters in names, with stars too", mail.Identity{Name: "Team-shop"}, ""},
		{"none", mail.Identity{Name: "c"}, ""},
	} {
		if got := p.Plan(&row.id).Policy; got != row.want {
			t.Errorf("%s: got %q, want %q", row.reason, got, row.want)
		}
	}
}

func TestVerdict(t *testing.T) {
	to, fixed := mail.MustParseAddress("qa@example.com"), mail.MustParseAddress("noreply@example.com")
	p := newPolicy(t, nil,
		config.Policy{Match: config.PolicyMatch{User: config.StringList{"redirect"}}, Environment: config.EnvironmentRedirect, RedirectTo: []mail.Address{to}, Bounces: "none"},
		config.Policy{Match: config.PolicyMatch{User: config.StringList{"capture"}}, Environment: config.EnvironmentCapture, Bounces: "ops@example.com"},
		config.Policy{Match: config.PolicyMatch{User: config.StringList{"rewrite"}}, Rewrite: config.Rewrite{ReversePath: &fixed, From: &fixed}, Bounces: "sender"},
	)
	for user, want := range map[string]Verdict{
		"redirect": {Policy: "policies[0]", Environment: "redirect", RedirectTo: []mail.Address{to}, Bounces: "none"},
		"capture":  {Policy: "policies[1]", Environment: "capture", Bounces: "ops@example.com"},
		"rewrite":  {Policy: "policies[2]", Environment: "deliver", Rewrite: config.Rewrite{ReversePath: &fixed, From: &fixed}},
	} {
		id := &mail.Identity{Name: user}
		got, err := p.Message(id, 0, []mail.Address{to})
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", user, got, err)
		}
		if plan := p.Plan(id); !reflect.DeepEqual(plan, want) {
			t.Errorf("%s: planned %+v", user, plan)
		}
	}
	open, _ := newPolicy(t, nil).Message(&mail.Identity{Name: "x"}, 0, nil)
	if !reflect.DeepEqual(open, Verdict{Environment: "deliver"}) {
		t.Errorf("no policies: %+v", open)
	}
}

func TestBadPolicies(t *testing.T) {
	for _, row := range []struct {
		reason string
		policy config.Policy
		want   string
	}{
		{"a sender that is a domain", config.Policy{Senders: []string{"example.com"}}, `policy "policies[0]": senders: address pattern "example.com": expected user@domain; all of a domain is *@example.com`},
		{"a recipient", config.Policy{Name: "x", Recipients: config.PolicyRecipients{Deny: []string{"a@"}}}, `policy "x": recipients.deny: address pattern "a@": expected a domain after the @`},
		{"an allowlist of nobody", config.Policy{Environment: config.EnvironmentAllowlist}, `policy "policies[0]": environment: allowlist needs recipients.allow`},
		{"a redirection to nobody", config.Policy{Environment: config.EnvironmentRedirect}, `policy "policies[0]": environment: redirect needs redirect_to`},
		{"another environment", config.Policy{Environment: "prod"}, `policy "policies[0]": environment: "prod"; expected deliver, allowlist, redirect or capture`},
		{"bounces to nowhere", config.Policy{Bounces: "nobody"}, `policy "policies[0]": bounces: "nobody"; expected sender, none or an address`},
	} {
		if _, err := New([]config.Policy{row.policy}, nil); err == nil || err.Error() != row.want {
			t.Errorf("%s:\n got %v\nwant %s", row.reason, err, row.want)
		}
	}
	if _, err := New([]config.Policy{{Name: "x"}, {Name: "x"}}, nil); err == nil {
		t.Error("two policies of one name, whose counters would be one")
	}
	p, err := New([]config.Policy{}, nil)
	if err != nil || p.Sender(&mail.Identity{Name: "x"}, path(t, "a@example.com"), 0) == nil {
		t.Errorf("an empty list of policies lets all through, %v", err)
	}
}

// TestRepliesAreShort: a reply line has at most 512 octets (RFC 5321 4.5.3.1.5),
// whatever the addresses and patterns.
func TestRepliesAreShort(t *testing.T) {
	var senders []string
	for range 50 {
		senders = append(senders, "*@"+strings.Repeat("a", 60)+"."+strings.Repeat("b", 60)+".example")
	}
	p := newPolicy(t, nil, config.Policy{Senders: senders})
	long := path(t, strings.Repeat("x", 64)+"@"+strings.Repeat(strings.Repeat("y", 60)+".", 3)+"ex")
	err := p.Sender(&mail.Identity{}, long, 0)
	if reply := err.(*mail.Error).Reply.String(); len(reply) > 510 || !strings.HasSuffix(reply, " and 49 more") {
		t.Errorf("%d octets: %s", len(reply), reply)
	}
}

func BenchmarkJudge(b *testing.B) {
	cfg := make([]config.Policy, 0, 40)
	for i := range 39 {
		cfg = append(cfg, config.Policy{Name: string(rune('A' + i)), Match: config.PolicyMatch{User: config.StringList{"user" + string(rune('A'+i))}}})
	}
	cfg = append(cfg, example[0])
	cfg[39].Limits.Messages.Count = 1 << 60
	p := newPolicy(b, nil, cfg...)
	id := &mail.Identity{Name: "billing"}
	from, rcpt := path(b, "invoices@example.com"), mail.MustParseAddress("customer@example.net")
	author := []mail.Address{from.Address}
	const size = 10 << 10
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Sender(id, from, size); err != nil {
			b.Fatal(err)
		}
		if err := p.Recipient(id, rcpt, 0); err != nil {
			b.Fatal(err)
		}
		if _, err := p.Message(id, size, author); err != nil {
			b.Fatal(err)
		}
	}
}
