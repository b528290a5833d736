package config

import (
	"path/filepath"
	"testing"
)

// TestRouteTLS is what a route insists on that does not say so itself.
func TestRouteTLS(t *testing.T) {
	for _, row := range []struct {
		why   string
		route string
		want  RouteTLS
	}{
		{"a password is for those alone who prove who they are", `{smarthosts: ["submission://user@mail.example"], password: x}`, RouteTLSVerify},
		{"without one TLS is better than nothing", `{smarthosts: ["smtp://mail.example"]}`, RouteTLSOpportunistic},
		{"MX delivery is as delivery.tls says", `{match: {recipient_domain: [a.example]}}`, RouteTLSRequire},
		{"what is said holds", `{tls: none}`, RouteTLSNone},
	} {
		if got := oneRoute(t, "{tls: require}", row.route).TLS; got != row.want {
			t.Errorf("%s: tls is %s, want %s", row.why, got, row.want)
		}
	}
}

// oneRoute returns the route of a file that has one, complete.
func oneRoute(t *testing.T, delivery, route string) *Route {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postrider.yaml")
	write(t, path, "hostname: relay.example.com\nlisteners: [{address: \"127.0.0.1:2525\", auth: none, tls: none}]\n"+
		"delivery: "+delivery+"\nroutes: ["+route+"]\n")
	c, err := Loader{Bystander: true}.Load(path, nil)
	if err != nil {
		t.Fatalf("%s: %v", route, err)
	}
	return &c.Routes[0]
}

// TestRouteRates: the rates that hold for a route.
func TestRouteRates(t *testing.T) {
	for _, row := range []struct {
		why            string
		delivery       string
		route          string
		whole, perEach string
	}{
		{"without a rate there is none", `{}`, `{}`, "", ""},
		{"each destination has delivery's", `{destination_messages: 5/minute}`, `{messages: 10/minute}`, "10/minute", "5/minute"},
		{"or the route's own", `{destination_messages: 5/minute}`, `{destination_messages: 9/hour}`, "", "9/hour"},
		{"smarthosts are a destination too", `{destination_messages: 5/minute}`, `{smarthosts: ["smtp://a"]}`, "", "5/minute"},
		{"whose rate messages may be", `{destination_messages: 5/minute}`, `{smarthosts: ["smtp://a"], messages: 10/minute}`, "10/minute", ""},
		{"what is said holds", `{}`, `{smarthosts: ["smtp://a"], messages: 10/minute, destination_messages: 9/hour}`, "10/minute", "9/hour"},
	} {
		r := oneRoute(t, row.delivery, row.route)
		if whole, each := r.Messages.String(), r.DestinationMessages.String(); whole != row.whole || each != row.perEach {
			t.Errorf("%s: %q and %q to each, want %q and %q", row.why, whole, each, row.whole, row.perEach)
		}
	}
}
