package config

import (
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// example is the file of the product's page, with every kind of key.
const example = `hostname: relay.example.com        # EHLO and Received name; default: the system's FQDN
state_dir: /var/lib/postrider      # queue, socket, generated keys
listeners:
  - address: ":5870"               # host:port, or unix:/path
    tls: starttls                  # none | starttls | required | implicit
    auth: required                 # required | none | peer, see below
  - address: ":4650"
    tls: implicit
tls: { certificate: /tls/tls.crt, key: /tls/tls.key, client_ca: /tls/ca.crt }
auth:
  users_file: /etc/postrider/users   # name:bcrypt-hash, one a line
policies:                          # first match wins
  - match: { user: billing }
    senders: ["*@example.com"]     # reverse-path and header From it may use
    recipients: { deny: ["*@competitor.example"] }
    limits: { messages: 1000/hour, recipients: 100, size: 25MiB }
routes:                            # first match wins; the default is MX delivery
  - match: { recipient_domain: ["internal.example"] }
    smarthosts: ["smtp://mail.internal.example:25"]
  - smarthosts: ["submissions://user@smtp.provider.example:465"]   # first is tried first
    password_file: /run/secrets/smarthost
    tls: verify                    # none | opportunistic | require | verify | dane
dns: { servers: ["10.0.0.10:53"], timeout: 5s }   # default: resolv.conf
retry:
  intervals: [1m, 5m, 15m, 30m, 1h, 2h, 4h]       # the last repeats; jittered
  lifetime: 5d
  warn_after: 4h
queue: { max_bytes: 10GiB, min_free: 512MiB }     # beyond: 452 4.3.1, nothing lost
admin: { address: "127.0.0.1:8025" }              # health, metrics, API, web page
log: { format: json, level: info }                # json | text | postfix
`

// loadExample loads the example with its files in dir.
func loadExample(t *testing.T, dir string, environ ...string) *Config {
	t.Helper()
	path := filepath.Join(dir, "postrider.yaml")
	write(t, path, inDir(example, dir))
	c, err := Load(path, environ)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestExample(t *testing.T) {
	dir := secrets(t)
	c := loadExample(t, dir)
	if c.Hostname != "relay.example.com" || c.StateDir != dir+"/state" || c.Source != dir+"/postrider.yaml" {
		t.Errorf("hostname %q, state_dir %q, source %q", c.Hostname, c.StateDir, c.Source)
	}
	wantListeners := []Listener{
		{Name: ":5870", Address: ":5870", TLS: TLSStartTLS, Auth: AuthRequired, BareNewlines: BareRefuse},
		{Name: ":4650", Address: ":4650", TLS: TLSImplicit, Auth: AuthRequired, BareNewlines: BareRefuse},
	}
	if !reflect.DeepEqual(c.Listeners, wantListeners) {
		t.Errorf("listeners %+v", c.Listeners)
	}
	p := c.Policies[0]
	if p.Name != "policies[0]" || p.Match.User[0] != "billing" || p.Limits.Messages != (Rate{1000, time.Hour}) ||
		p.Limits.Recipients != 100 || p.Limits.Size != 25<<20 || p.Environment != EnvironmentDeliver {
		t.Errorf("policy %+v", p)
	}
	inside, provider := c.Routes[0], c.Routes[1]
	if inside.TLS != RouteTLSOpportunistic || inside.Smarthosts[0].Host != "mail.internal.example" || inside.Smarthosts[0].Port != 25 {
		t.Errorf("route %+v", inside)
	}
	if s := provider.Smarthosts[0]; s.Username != "user" || !s.Implicit || s.Port != 465 || s.Weight != 1 {
		t.Errorf("smarthost %+v", s)
	}
	if string(provider.Password) != "opensesame" || provider.TLS != RouteTLSVerify {
		t.Error("the route's password is not that of its file, or it does not verify")
	}
	if c.DNS.Servers[0] != netip.MustParseAddrPort("10.0.0.10:53") || c.Retry.Lifetime != 120*time.Hour || len(c.Retry.Intervals) != 7 {
		t.Errorf("dns %+v, retry %+v", c.DNS, c.Retry)
	}
}

func TestFilesToWatch(t *testing.T) {
	dir := secrets(t)
	got := loadExample(t, dir).Files()
	want := []string{"postrider.yaml", "users", "tls/tls.crt", "tls/tls.key", "tls/ca.crt", "smarthost"}
	for i := range want {
		want[i] = filepath.Join(dir, want[i])
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What `config print` shows is a configuration that comes to the same.
func TestPrintRoundTrip(t *testing.T) {
	dir := secrets(t)
	for _, tc := range []struct {
		name    string
		environ []string
	}{
		{"the example", nil},
		{"no admin listener, warnings off", []string{"POSTRIDER_ADMIN__ADDRESS=", "POSTRIDER_RETRY__WARN_AFTER=0"}},
		{"a policy table that is empty", []string{"POSTRIDER_POLICIES=[]"}},
		{"everything a policy can hold", []string{"POSTRIDER_AUTH__GROUPS={g: [x]}", `POSTRIDER_POLICIES=[{name: "yes", match: {user: ["no", "12"], group: g, network: [10.1.2.3, "2001:db8::/32"]},
			senders: ["*@a.example", "\"a b\"@c.example"], environment: redirect, redirect_to: [qa@example.com], bounces: ops@example.com,
			limits: {messages: 50/10m, bytes: 1500KB/day, connections: 3}, rewrite: {reverse_path: b@example.com, from: "\"x y\"@example.com"}}]`}},
		{"smarthosts with weights", []string{`POSTRIDER_ROUTES__0__SMARTHOSTS=[{url: "smtp://a", weight: 0}, {url: "smtp://[::1]:2525", priority: 0}, "smtp://c"]`}},
		{"groups and certificates", []string{`POSTRIDER_AUTH__GROUPS={b: [x, y], a: ["true"]}`, `POSTRIDER_AUTH__CERTIFICATES=[{subject: "a: b #c", identity: "null"}]`}},
		{"odd numbers", []string{"POSTRIDER_RETRY__INTERVALS=90s,36h,1.5s", "POSTRIDER_QUEUE__MAX_BYTES=26214401", "POSTRIDER_DELIVERY__IPV6=false", "POSTRIDER_DELIVERY__PORT=2525"}},
		{"rates", []string{"POSTRIDER_DELIVERY__DESTINATION_MESSAGES=50/10m", "POSTRIDER_ROUTES__0__DESTINATION_MESSAGES=7/day"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := loadExample(t, dir, tc.environ...)
			text, err := Print(before)
			if err != nil {
				t.Fatal(err)
			}
			printed := filepath.Join(dir, "printed.yaml")
			write(t, printed, string(text))
			after, err := Load(printed, nil)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if alike(before, after); !reflect.DeepEqual(before, after) {
				t.Errorf("before %+v\nafter  %+v\n%s", before, after, text)
			}
		})
	}
}

// alike takes out of two configurations where they were written.
func alike(a, b *Config) {
	for _, c := range []*Config{a, b} {
		c.Source, c.Warnings, c.places = "", nil, places{}
	}
}

func TestPrintMasksSecrets(t *testing.T) {
	dir := secrets(t)
	c := loadExample(t, dir, "POSTRIDER_ROUTES__0__PASSWORD=letmein", "POSTRIDER_ROUTES__0__USERNAME=u", "POSTRIDER_ROUTES__0__TLS=verify")
	text, err := Print(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"letmein", "opensesame"} {
		if containsText(text, secret) {
			t.Errorf("%q is printed:\n%s", secret, text)
		}
	}
	if !containsText(text, mask) {
		t.Errorf("nothing tells that there is a password:\n%s", text)
	}
}

func TestStarterLoads(t *testing.T) {
	dir := secrets(t)
	path := filepath.Join(dir, "starter.yaml")
	write(t, path, string(Starter()))
	if _, err := (Loader{Bystander: true}).Load(path, nil); err != nil {
		t.Error(err)
	}
}
