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
		path := filepath.Join(t.TempDir(), "postrider.yaml")
		write(t, path, "hostname: relay.example.com\nlisteners: [{address: \"127.0.0.1:2525\", auth: none, tls: none}]\n"+
			"delivery: {tls: require}\nroutes: ["+row.route+"]\n")
		c, err := Loader{Bystander: true}.Load(path, nil)
		if err != nil {
			t.Errorf("%s: %v", row.why, err)
			continue
		}
		if got := c.Routes[0].TLS; got != row.want {
			t.Errorf("%s: tls is %s, want %s", row.why, got, row.want)
		}
	}
}
