package config

import (
	"bytes"
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func containsText(text []byte, s string) bool { return bytes.Contains(text, []byte(s)) }

func TestEnvironmentWins(t *testing.T) {
	dir := secrets(t)
	for _, tc := range []struct {
		environ []string
		got     func(*Config) any
		want    any
		why     string
	}{
		{[]string{"POSTRIDER_RETRY__LIFETIME=2d"}, func(c *Config) any { return c.Retry.Lifetime }, 48 * time.Hour, "a value over the file's"},
		{[]string{"POSTRIDER_SHUTDOWN_TIMEOUT=5s"}, func(c *Config) any { return c.ShutdownTimeout }, 5 * time.Second, "a key the file does not have"},
		{[]string{"POSTRIDER_RETRY__INTERVALS=1m,5m"}, func(c *Config) any { return c.Retry.Intervals }, []time.Duration{time.Minute, 5 * time.Minute}, "a list with commas"},
		{[]string{"POSTRIDER_RETRY__INTERVALS=[2m]"}, func(c *Config) any { return c.Retry.Intervals }, []time.Duration{2 * time.Minute}, "a list in YAML"},
		{[]string{"POSTRIDER_LISTENERS__1__ADDRESS=:4651"}, func(c *Config) any { return c.Listeners[1].Address }, ":4651", "an item of the file's list"},
		{[]string{"POSTRIDER_LISTENERS__2__ADDRESS=unix:/run/p", "POSTRIDER_LISTENERS__2__AUTH=peer"}, func(c *Config) any { return c.Listeners[2].Auth }, AuthPeer, "a new item"},
		{[]string{"POSTRIDER_LISTENERS__0__ADDRESS=:9", `POSTRIDER_LISTENERS=[{address: ":8"}]`}, func(c *Config) any { return c.Listeners[0].Address }, ":9", "the inner key corrects the outer one"},
		{[]string{"POSTRIDER_POLICIES__0__SENDERS=*@a.example,*@b.example"}, func(c *Config) any { return c.Policies[0].Senders }, []string{"*@a.example", "*@b.example"}, "stars are no YAML aliases here"},
		{[]string{"POSTRIDER_POLICIES__0__MATCH__USER=x"}, func(c *Config) any { return c.Policies[0].Match.User }, StringList{"x"}, "a single value for a list"},
		{[]string{"POSTRIDER_AUTH__GROUPS__SHOP=a,b"}, func(c *Config) any { return c.Auth.Groups }, map[string][]string{"shop": {"a", "b"}}, "a name of a mapping"},
		{[]string{"POSTRIDER_ROUTES__0__SMARTHOSTS=smtp://x:1,smtp://y:2"}, func(c *Config) any { return len(c.Routes[0].Smarthosts) }, 2, "URLs with commas between"},
		{[]string{"POSTRIDER_ROUTES__0__SMARTHOSTS__0__WEIGHT=2"}, func(c *Config) any { return c.Routes[0].Smarthosts },
			[]Smarthost{{URL: "smtp://mail.internal.example:25", Host: "mail.internal.example", Port: 25, Weight: 2}}, "more of a smarthost that is a URL alone"},
		{[]string{"POSTRIDER_ROUTES__0__SMARTHOSTS__0__URL=smtp://x:1"}, func(c *Config) any { return c.Routes[0].Smarthosts[0].Host }, "x", "another URL for it"},
		{[]string{"POSTRIDER_ADMIN__ADDRESS="}, func(c *Config) any { return c.Admin.Address }, "", "empty is a value"},
		{[]string{"POSTRIDER_SERVICE_HOST=10.0.0.1", "POSTRIDER_PORT=tcp://10.0.0.1:5870", "POSTRIDER_PORT_5870_TCP_ADDR=10.0.0.1", "POSTRIDER_PORT_5870_TCP=tcp://10.0.0.1:5870", "POSTRIDER_SERVICE_PORT=5870", "POSTRIDER_ADMIN_PORT=tcp://10.0.0.2:8025", "POSTRIDER_ADMIN_SERVICE_PORT_HTTP=8025"},
			func(c *Config) any { return c.Delivery.Port }, uint16(25), "Kubernetes' service links are not ours"},
		{[]string{"POSTRIDERX=1", "OTHER=2"}, func(c *Config) any { return c.Hostname }, "relay.example.com", "others' variables"},
	} {
		if got := tc.got(loadExample(t, dir, tc.environ...)); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%v: got %v, want %v: %s", tc.environ, got, tc.want, tc.why)
		}
	}
}

func TestEnvironmentFaultsNameTheVariable(t *testing.T) {
	dir := secrets(t)
	path := filepath.Join(dir, "postrider.yaml")
	write(t, path, inDir(example, dir))
	for _, tc := range []struct{ environ, variable, key, why string }{
		{"POSTRIDER_RETRY__LIFETIME=2x", "POSTRIDER_RETRY__LIFETIME", "retry.lifetime", "a bad value"},
		{"POSTRIDER_RETRY__LIFTIME=2d", "POSTRIDER_RETRY__LIFTIME", "retry.liftime", "no such key"},
		{"POSTRIDER_RETRY_LIFETIME=2d", "POSTRIDER_RETRY_LIFETIME", "retry_lifetime", "one underscore is part of a name"},
		{"POSTRIDER_LISTENERS__5__TLS=none", "POSTRIDER_LISTENERS__5__TLS", "listeners", "a gap in the list"},
		{"POSTRIDER_LISTENERS__X__TLS=none", "POSTRIDER_LISTENERS__X__TLS", "listeners", "no number"},
		{"POSTRIDER_HOSTNAME__X=1", "POSTRIDER_HOSTNAME__X", "hostname", "nothing lies below a single value"},
		{"POSTRIDER_LISTENERS=[{address: ", "POSTRIDER_LISTENERS", "listeners", "broken YAML"},
		{"POSTRIDER_LISTENERS__0__AUTH=none", "POSTRIDER_LISTENERS__0__AUTH", "listeners[0].auth", "what is refused later names it too"},
		{"POSTRIDER_ROUTES__1__PASSWORD_FILE=/nowhere", "POSTRIDER_ROUTES__1__PASSWORD_FILE", "routes[1].password_file", "a file that is missing"},
		{"POSTRIDER_PORT=26", "POSTRIDER_PORT", "port", "no service link: its value is none"},
		{"POSTRIDER_SMTP_PORT=26", "POSTRIDER_SMTP_PORT", "smtp_port", "the same, of a service called postrider-smtp"},
		{"POSTRIDER_=1", "POSTRIDER_", "", "no name at all"},
	} {
		_, err := Load(path, []string{tc.environ})
		var fault *Error
		if !errors.As(err, &fault) {
			t.Errorf("%s: error is %v: %s", tc.environ, err, tc.why)
			continue
		}
		if fault.Variable != tc.variable || fault.Key != tc.key {
			t.Errorf("%s: names variable %q and key %q, want %q: %s", tc.environ, fault.Variable, fault.Key, tc.key, tc.why)
		}
	}
}

func TestEnvironmentWithOneUnderscore(t *testing.T) {
	for variable, want := range map[string]string{
		"POSTRIDER_QUEUE_MAX_BYTES":             "POSTRIDER_QUEUE__MAX_BYTES",
		"POSTRIDER_DELIVERY_PORT":               "POSTRIDER_DELIVERY__PORT",
		"POSTRIDER_LISTENERS_0_ADDRESS":         "POSTRIDER_LISTENERS__0__ADDRESS",
		"POSTRIDER_ROUTES__0_PASSWORD_FILE":     "POSTRIDER_ROUTES__0__PASSWORD_FILE",
		"POSTRIDER_STATE__DIR":                  "POSTRIDER_STATE_DIR",
		"POSTRIDER_POLICIES_1_MATCH_USER":       "POSTRIDER_POLICIES__1__MATCH__USER",
		"POSTRIDER_SUBMISSION_MAX_MESSAGE_SIZE": "POSTRIDER_SUBMISSION__MAX_MESSAGE_SIZE",
	} {
		_, err := Load("", []string{variable + "=1"})
		if err == nil || !strings.Contains(err.Error()+"\n", "two underscores: "+want+"\n") {
			t.Errorf("%s: %v, want a hint at %s", variable, err, want)
		}
	}
}

func TestFindOrder(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	named, other := filepath.Join(dir, "named.yaml"), filepath.Join(dir, "other.yaml")
	write(t, named, "")
	write(t, other, "")
	find := func(path string, environ ...string) string {
		t.Helper()
		source, err := Find(path, environ)
		if err != nil {
			t.Fatal(err)
		}
		return source
	}
	if got := find(named, EnvFile+"="+other); got != named {
		t.Errorf("-c loses to %s", got)
	}
	if got := find("", EnvFile+"="+other); got != other {
		t.Errorf("%s is not used but %q", EnvFile, got)
	}
	if got := find(""); got != "" && got != SystemFile {
		t.Errorf("without any file: %q", got)
	}
	write(t, filepath.Join(dir, "postrider.yaml"), "")
	if got := find("", EnvFile+"="); got != LocalFile {
		t.Errorf("./postrider.yaml is not used but %q", got)
	}
	if _, err := Find("", []string{EnvFile + "=/nowhere.yaml"}); err == nil {
		t.Error("a file that was named and does not exist is no error")
	}
}
