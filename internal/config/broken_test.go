package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// broken are files that must not load, each with what makes it so. The golden
// file holds what users read about them.
var broken = []struct{ why, text string }{
	{"an unknown key", "listener:\n  - address: \":1\"\n"},
	{"an unknown key far from any other", "listeners: [{address: \":5870\"}]\nfoobar: 1\n"},
	{"an unknown key deep inside", "listeners:\n  - address: \":5870\"\n    tsl: none\n"},
	{"a key twice", "log: {level: info}\nlisteners: [{address: \":5870\"}]\nlog: {level: debug}\n"},
	{"a word that is none of the choices", "listeners:\n  - address: \":5870\"\n    tls: start\n"},
	{"a bad duration, a bad size, a bad rate in one run", "listeners: [{address: \":5870\"}]\nretry:\n  lifetime: 5 days\nqueue:\n  max_bytes: 10 gigs\nroutes:\n  - messages: many\n"},
	{"a duration without a unit", "listeners: [{address: \":5870\"}]\nshutdown_timeout: 25\n"},
	{"text where a number is wanted", "listeners: [{address: \":5870\"}]\ndelivery:\n  concurrency: \"20\"\n"},
	{"a negative number", "listeners: [{address: \":5870\"}]\ndelivery:\n  concurrency: -1\n"},
	{"a port out of range", "listeners: [{address: \":5870\"}]\ndelivery:\n  port: 70000\n"},
	{"text where a truth value is wanted", "listeners: [{address: \":5870\"}]\ndelivery:\n  ipv6: yes\n"},
	{"a list where a value is wanted", "listeners: [{address: \":5870\"}]\nhostname: [a, b]\n"},
	{"a value where a list is wanted", "listeners: \":5870\"\n"},
	{"a value where a mapping is wanted", "listeners: [{address: \":5870\"}]\ntls: tls/tls.crt\n"},
	{"a key without a value", "listeners: [{address: \":5870\"}]\nhostname:\n"},
	{"a list without a value, which must not mean that anyone may send anything", "listeners: [{address: \":5870\"}]\npolicies:\n"},
	{"no listeners", "log: {level: info}\n"},
	{"an empty file", ""},
	{"no YAML", "listeners: [\n"},
	{"a tab as indentation", "listeners:\n\t- address: \":5870\"\n"},
	{"a key beside the one it belongs to", "listeners: [{address: \":5870\"}]\nretry:\nlifetime: 5d\nname: a\n"},
	{"indentation that is off", "listeners:\n  - address: \":5870\"\n     tls: none\n"},
	{"a star without quotes", "listeners: [{address: \":5870\"}]\npolicies:\n  - senders: [*@example.com]\n"},
	{"capital letters", "listeners:\n  - address: \":5870\"\n    TLS: None\n"},
	{"one value, or one mapping, where a list is wanted", "listeners:\n  address: \":5870\"\npolicies:\n  - senders: \"*@example.com\"\nroutes:\n  - smarthosts: smtp://mail.example.com\n"},
	{"two documents", "listeners: [{address: \":5870\"}]\n---\nlog: {level: info}\n"},
	{"an anchor and an alias", "hostname: &a relay.example.com\nlisteners: [{address: \":5870\", name: *a}]\n"},
	{"a list at the top", "- a\n- b\n"},
	{"a host name that is none", "hostname: \"not a name\"\nlisteners: [{address: \":5870\"}]\n"},
	{"a state directory that is a file", "state_dir: users\nlisteners: [{address: \":5870\"}]\n"},
	{"a state directory whose socket no system could bind", "state_dir: " + strings.Repeat("long", 30) + "\nlisteners: [{address: \":5870\"}]\n"},
	{"a listener without an address", "listeners:\n  - tls: none\n"},
	{"an address without a port", "listeners:\n  - address: 127.0.0.1\n"},
	{"a port alone", "listeners:\n  - address: 5870\nadmin: {address: \"8025\"}\n"},
	{"two listeners on one address", "listeners:\n  - address: \":5870\"\n  - address: \":5870\"\n"},
	{"auth none on a network", "listeners:\n  - address: \":5870\"\n    auth: none\n"},
	{"auth none on an address that only begins like loopback", "listeners:\n  - address: \"127.0.0.1.example.com:25\"\n    auth: none\n"},
	{"auth peer without a unix socket", "listeners:\n  - address: \"127.0.0.1:5870\"\n    auth: peer\n"},
	{"passwords in clear on a network", "listeners:\n  - address: \"10.0.0.1:5870\"\n    allow_insecure_auth: true\n"},
	{"no way to log in", "listeners:\n  - address: \"127.0.0.1:5870\"\n    tls: none\n"},
	{"an identity where clients have their own", "listeners:\n  - address: \":5870\"\n    identity: me\n"},
	{"the PROXY protocol on a unix socket", "listeners:\n  - address: unix:/run/p\n    auth: peer\n    proxy_protocol: [10.0.0.0/8]\n"},
	{"a network that is none", "listeners:\n  - address: \":5870\"\n    proxy_protocol: [10.0.0.0/33]\n"},
	{"a certificate without a key", "listeners: [{address: \":5870\"}]\ntls:\n  certificate: tls/tls.crt\n"},
	{"a certificate that is missing", "listeners: [{address: \":5870\"}]\ntls:\n  certificate: tls/none.crt\n  key: tls/tls.key\n"},
	{"a certificate that is no pair with the key", "listeners: [{address: \":5870\"}]\ntls:\n  certificate: tls/tls.crt\n  key: tls/ca.crt\n"},
	{"an authority without a certificate", "listeners: [{address: \":5870\"}]\ntls:\n  client_ca: users\n"},
	{"a users file that is missing", "state_dir: state\nlisteners: [{address: \":5870\"}]\nauth:\n  users_file: nobody\n"},
	{"a users file that is a directory", "state_dir: state\nlisteners: [{address: \":5870\"}]\nauth:\n  users_file: tls\n"},
	{"client certificates without an authority", "listeners: [{address: \":5870\"}]\nauth:\n  certificates:\n    - subject: a\n"},
	{"no failure allowed", "listeners: [{address: \":5870\"}]\nauth:\n  max_failures: 0\n"},
	{"a message size that no client expects", "listeners: [{address: \":5870\"}]\nsubmission:\n  max_message_size: 10KiB\n"},
	{"patterns that are none", "listeners: [{address: \":5870\"}]\npolicies:\n  - senders: [example.com, \"@example.com\", \"a@*b.example\", \"<>\"]\n"},
	{"a policy for a listener that does not exist", "listeners: [{address: \":5870\", name: apps}]\npolicies:\n  - match: {listener: app}\n"},
	{"redirection to nowhere", "listeners: [{address: \":5870\"}]\npolicies:\n  - environment: redirect\n"},
	{"an allowlist of nobody", "listeners: [{address: \":5870\"}]\npolicies:\n  - environment: allowlist\n"},
	{"redirect_to without redirection", "listeners: [{address: \":5870\"}]\npolicies:\n  - redirect_to: [a@example.com]\n"},
	{"bounces to no address", "listeners: [{address: \":5870\"}]\npolicies:\n  - bounces: nobody\n"},
	{"two policies of one name", "listeners: [{address: \":5870\"}]\npolicies:\n  - name: a\n  - name: a\n"},
	{"two routes of one name", "listeners: [{address: \":5870\"}]\nroutes:\n  - name: a\n  - name: a\n"},
	{"a route with the name of the built-in one", "listeners: [{address: \":5870\"}]\nroutes:\n  - name: mx\n"},
	{"a route whose name can't be told from a destination", "listeners: [{address: \":5870\"}]\nroutes:\n  - name: a/b\n"},
	{"dane, which this version can't do", "listeners: [{address: \":5870\"}]\nroutes:\n  - tls: dane\ndelivery:\n  tls: dane\n"},
	{"smarthosts that are none", "listeners: [{address: \":5870\"}]\nroutes:\n  - smarthosts:\n      - mail.example.com\n      - http://mail.example.com\n      - smtp://mail.example.com/path\n      - smtp://\n      - smtp://mail.example.com:0\n"},
	{"a password in a URL, which must not be repeated", "listeners: [{address: \":5870\"}]\nroutes:\n  - smarthosts: [\"submissions://user:hunter2@mail.example.com\"]\n"},
	{"a password in clear", "listeners: [{address: \":5870\"}]\nroutes:\n  - smarthosts: [\"smtp://user@mail.example.com\"]\n    password_file: smarthost\n    tls: opportunistic\n"},
	{"a password without a user", "listeners: [{address: \":5870\"}]\nroutes:\n  - smarthosts: [\"submissions://mail.example.com\"]\n    password_file: smarthost\n"},
	{"a user without a password", "listeners: [{address: \":5870\"}]\nroutes:\n  - smarthosts: [\"submissions://user@mail.example.com\"]\n"},
	{"a password for MX hosts", "listeners: [{address: \":5870\"}]\nroutes:\n  - password: secret\n"},
	{"two passwords", "listeners: [{address: \":5870\"}]\nroutes:\n  - smarthosts: [\"submissions://user@mail.example.com\"]\n    password: secret\n    password_file: smarthost\n"},
	{"a password file that is missing", "listeners: [{address: \":5870\"}]\nroutes:\n  - smarthosts: [\"submissions://user@mail.example.com\"]\n    password_file: none\n"},
	{"a password file that is empty", "listeners: [{address: \":5870\"}]\nroutes:\n  - smarthosts: [\"submissions://user@mail.example.com\"]\n    password_file: users\n"},
	{"no TLS over a URL that means TLS", "listeners: [{address: \":5870\"}]\nroutes:\n  - smarthosts: [\"submissions://mail.example.com\"]\n    tls: none\n"},
	{"a mechanism we don't know", "listeners: [{address: \":5870\"}]\nroutes:\n  - mechanisms: [NTLM]\n"},
	{"a domain that is none", "listeners: [{address: \":5870\"}]\nroutes:\n  - match: {recipient_domain: \"*.example.com\"}\n"},
	{"a resolver by name", "listeners: [{address: \":5870\"}]\ndns:\n  servers: [dns.example.com]\n"},
	{"no retries", "listeners: [{address: \":5870\"}]\nretry:\n  intervals: []\n"},
	{"retries without a pause", "listeners: [{address: \":5870\"}]\nretry:\n  intervals: [1m, 10ms]\n"},
	{"a warning that comes after the end", "listeners: [{address: \":5870\"}]\nretry:\n  lifetime: 4h\n  warn_after: 1d\n"},
	{"an admin address that is none", "listeners: [{address: \":5870\"}]\nadmin:\n  address: localhost\n"},
	{"ports out of range", "listeners: [{address: \"127.0.0.1:99999\"}, {address: \":65536\"}]\nadmin:\n  address: 127.0.0.1:99999\n"},
	{"a state directory below a file", "state_dir: users/state\nlisteners: [{address: \":5870\"}]\n"},
	{"files that are missing, all in one run", "hostname: \"not a name\"\nstate_dir: smarthost\nlisteners: [{address: \":5870\"}]\ntls:\n  certificate: no.crt\n  key: no.key\n  client_ca: no-ca.crt\nauth:\n  users_file: nobody\nroutes:\n  - smarthosts: [\"submissions://user@mail.example.com\"]\n    password_file: none\n"},
	{"what can't be read and what does not fit, all in one run", "hostname: [a]\nlisteners:\n  - address: \":5870\"\n    auth: none\n  - address: \":99999\"\n    tls: start\n    identity: me\nretry:\n  lifetime: soon\n  warn_after: 9d\n  intervals: [soon, 10ms, 1m, later]\nroutes:\n  - match: {listener: nowhere, sender: \"@a\"}\n    smarthosts: [\"smtp://a:b@c\", \"submission://user@d.example\", \"submission://user@e.example\"]\n    mechanisms: [NTLM, DIGEST-MD5]\nunknown: 1\n"},
	{"a misspelt key, which is not missing too", "listeners: [{address: \":5870\"}]\ntls:\n  certifcate: tls/tls.crt\n  key: tls/tls.key\n"},
	{"a users file that is broken", "state_dir: state\nlisteners: [{address: \":5870\"}]\nauth:\n  users_file: smarthost\n"},
	{"a route whose name ends a line", "listeners: [{address: \":5870\"}]\nroutes:\n  - name: \"r\\n\"\n"},
	{"a policy for a group that does not exist", "listeners: [{address: \":5870\"}]\nauth: {groups: {robots: [cron]}}\npolicies:\n  - match: {group: robot}\n"},
	{"groups without members, always in one order", "listeners: [{address: \":5870\"}]\nauth: {groups: {a: [], b: [], c: [], d: [], e: [], f: []}}\n"},
	{"a queue that the largest message does not fit", "listeners: [{address: \":5870\"}]\nqueue:\n  max_bytes: 10MiB\n"},
	{"a message that does not fit the queue", "listeners: [{address: \":5870\"}]\nsubmission:\n  max_message_size: 20GiB\n"},
	{"a part of the memory that is more than all", "listeners: [{address: \":5870\"}]\nqueue:\n  memory: 65MiB\n"},
	{"addresses that look like some", "listeners:\n  - address: \"300.1.1.1:2525\"\n  - address: \"[2001:::1]:2525\"\nadmin:\n  address: 127.0.1:8025\n"},
	{"a listener at the admin listener's address", "listeners:\n  - address: 127.0.0.1:8025\n"},
	{"a masked password", "listeners: [{address: \":5870\"}]\nroutes:\n  - smarthosts: [\"submissions://user@mail.example.com\"]\n    password: \"********\"\n"},
	{"a log format that is none", "listeners: [{address: \":5870\"}]\nlog:\n  format: xml\n"},
}

func TestBrokenConfigurations(t *testing.T) {
	dir := secrets(t)
	t.Chdir(dir)
	var got strings.Builder
	for _, tc := range broken {
		write(t, "postrider.yaml", tc.text)
		// Without the key, that there are no users is not what is wrong.
		l := Loader{Bystander: !strings.Contains(tc.text, "users_file"), Users: readUsers}
		_, err := l.Load("postrider.yaml", []string{"HOME=/"})
		fmt.Fprintf(&got, "# %s\n%v\n\n", tc.why, err)
		var all Errors
		if !errors.As(err, &all) {
			t.Errorf("%s: it loads, or the error is of another type: %v", tc.why, err)
			continue
		}
		for _, e := range all {
			if e.File != "postrider.yaml" || e.Problem == "" {
				t.Errorf("%s: the error names no file or no problem: %+v", tc.why, e)
			}
			missing := tc.text == "" || tc.why == "no listeners"
			if e.Line == 0 && !missing {
				t.Errorf("%s: the error names no line: %v", tc.why, e)
			}
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: a password is shown: %v", tc.why, err)
		}
	}
	golden := filepath.Join(source, "testdata", "broken.golden")
	if *update {
		write(t, golden, got.String())
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("differs from %s:\n%s", golden, got.String())
	}
}

// readUsers stands for the reader of users files, which is another room's.
func readUsers(file string) error {
	text, err := os.ReadFile(file)
	if err == nil && len(text) > 0 {
		err = fmt.Errorf("%s:1: no colon; expected name:hash", file)
	}
	return err
}

// source is the package's directory, also for tests that leave it.
var source, _ = os.Getwd()
