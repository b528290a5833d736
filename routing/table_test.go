package routing

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

func smarthosts(urls ...string) []config.Smarthost {
	var list []config.Smarthost
	for i, u := range urls {
		var s config.Smarthost
		var port int
		host, text, _ := strings.Cut(u, ":")
		_, _ = fmt.Sscan(text, &port)
		s.URL, s.Host, s.Port, s.Priority, s.Weight = "smtp://"+u, host, uint16(port), i, 1
		list = append(list, s)
	}
	return list
}

func testTable(t testing.TB) *Table {
	t.Helper()
	provider := smarthosts("smtp.provider.test:587")
	table, err := NewTable([]config.Route{
		{Name: "internal", Smarthosts: provider, Match: config.RouteMatch{
			RecipientDomain: config.StringList{"Internal.Example", ".corp.example"}}},
		{Name: "billing", Smarthosts: provider, Match: config.RouteMatch{
			Sender: config.StringList{"billing-*@example.com", "*@*.billing.example"}, Identity: config.StringList{"billing"}}},
		{Name: "bounces", Smarthosts: provider, Match: config.RouteMatch{Sender: config.StringList{"<>"}}},
		{Name: "side", Match: config.RouteMatch{Listener: config.StringList{"sidecar"}}},
		{Name: "literal", Match: config.RouteMatch{RecipientDomain: config.StringList{"[192.0.2.1]", "bücher.example"}}},
	}, config.Delivery{TLS: config.RouteTLSVerify, DestinationConcurrency: 7, DestinationMessages: config.Rate{Count: 9, Per: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func envelope(t testing.TB, from, identity, listener string) *mail.Envelope {
	t.Helper()
	path, err := mail.ParsePath("<" + from + ">")
	if err != nil {
		t.Fatal(err)
	}
	return &mail.Envelope{From: path, Identity: mail.Identity{Name: identity, Listener: listener}}
}

func TestMatch(t *testing.T) {
	table := testTable(t)
	tests := []struct {
		from, identity, listener, to string
		want                         string
		why                          string
	}{
		{"a@example.com", "app", "", "x@internal.example", "internal", "exact domain"},
		{"a@example.com", "app", "", "x@INTERNAL.example", "internal", "case does not count"},
		{"a@example.com", "app", "", "x@sub.internal.example", "mx", "an exact domain is no subdomain"},
		{"a@example.com", "app", "", "x@sub.corp.example", "internal", "a subdomain"},
		{"a@example.com", "app", "", "x@a.b.corp.example", "internal", "at any depth"},
		{"a@example.com", "app", "", "x@corp.example", "mx", "but not the domain itself"},
		{"a@example.com", "app", "", "x@evilcorp.example", "mx", "nor a name that ends like it"},
		{"billing-7@example.com", "billing", "", "x@example.net", "billing", "sender and identity"},
		{"Billing-7@Example.com", "billing", "", "x@example.net", "billing", "case does not count"},
		{"billing-7@example.com", "app", "", "x@example.net", "mx", "all conditions must hold"},
		{"billing@example.com", "billing", "", "x@example.net", "mx", "the pattern has more to it"},
		{"a@x.billing.example", "billing", "", "x@example.net", "billing", "a sender in a subdomain"},
		{"a@billing.example", "billing", "", "x@example.net", "mx", "not in the domain itself"},
		{"", "app", "", "x@example.net", "bounces", "the null reverse-path"},
		{"", "app", "", "x@internal.example", "internal", "the first that matches"},
		{"a@example.com", "app", "sidecar", "x@example.net", "side", "by listener"},
		{"a@example.com", "app", "", "x@[192.0.2.1]", "literal", "an address literal"},
		{"a@example.com", "app", "", "x@xn--bcher-kva.example", "literal", "A-labels and U-labels are one"},
		{"a@example.com", "app", "", "x@example.net", "mx", "the built-in route takes the rest"},
	}
	for _, tt := range tests {
		e, to := envelope(t, tt.from, tt.identity, tt.listener), mail.MustParseAddress(tt.to)
		got := table.Match(e, to)
		if got.Name != tt.want {
			t.Errorf("%s: <%s> as %s to %s takes %s, want %s", tt.why, tt.from, tt.identity, tt.to, got.Name, tt.want)
		}
		explained, steps := table.Explain(e, to)
		if explained != got {
			t.Errorf("%s: explained as %s", tt.why, explained.Name)
		}
		if last := steps[len(steps)-1]; last.What != "route "+tt.want || !strings.HasPrefix(last.Result, "taken: ") {
			t.Errorf("%s: the last step is %+v", tt.why, last)
		}
		wantDomain := to.Domain
		if got.Smarthost {
			wantDomain = mail.Domain{}
		}
		if d := got.Domain(to); d != wantDomain {
			t.Errorf("%s: domain of the destination is %q", tt.why, d)
		}
	}
}

func TestExplainSaysWhyRoutesDoNotMatch(t *testing.T) {
	table := testTable(t)
	_, steps := table.Explain(envelope(t, "billing-7@example.com", "app", ""), mail.MustParseAddress("x@example.net"))
	want := []string{
		"route internal: does not match: recipient_domain is example.net",
		"route billing: does not match: identity is app",
		"route bounces: does not match: sender is <billing-7@example.com>",
		"route side: does not match: listener is not known",
		"route literal: does not match: recipient_domain is example.net",
		"route mx: taken: it takes everything",
	}
	for i, step := range steps {
		if got := step.What + ": " + step.Result; i >= len(want) || got != want[i] {
			t.Errorf("step %d: %s", i, got)
		}
	}
	_, steps = table.Explain(envelope(t, "a@x.billing.example", "billing", ""), mail.MustParseAddress("x@example.net"))
	if got, want := steps[1].Result, "taken: sender matches billing-*@example.com, *@*.billing.example; identity matches billing"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestBuiltInRoute(t *testing.T) {
	table := testTable(t)
	r, ok := table.Route(config.BuiltInRoute)
	if !ok || r.Smarthost || r.TLS != config.RouteTLSVerify || r.DestinationConcurrency != 7 || r.DestinationMessages.Count != 9 {
		t.Errorf("the built-in route is %+v, %t", r, ok)
	}
	if _, ok := table.Route("nosuch"); ok {
		t.Error("a route that nobody made")
	}
	if all := table.Routes(); len(all) != 6 || all[5] != r {
		t.Errorf("%d routes", len(all))
	}
}

func TestBadTables(t *testing.T) {
	for _, tt := range []struct {
		routes []config.Route
		want   string
	}{
		{[]config.Route{{Name: "a"}, {Name: "a"}}, "route a: there are two"},
		{[]config.Route{{Name: "mx"}}, "route mx: there are two"},
		{[]config.Route{{Name: "a", Match: config.RouteMatch{RecipientDomain: config.StringList{"a..b"}}}}, `route a: recipient_domain "a..b"`},
		{[]config.Route{{Name: "a", Match: config.RouteMatch{Sender: config.StringList{"@"}}}}, `route a: sender: address pattern "@"`},
	} {
		if _, err := NewTable(tt.routes, config.Delivery{}); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	table := testTable(b)
	e, to := envelope(b, "a@example.com", "app", "main"), mail.MustParseAddress("x@example.net")
	b.ReportAllocs()
	for b.Loop() {
		if table.Match(e, to) == nil {
			b.Fatal("no route")
		}
	}
}
