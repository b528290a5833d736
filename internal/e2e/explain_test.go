package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/smtptest"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestExplain asks the running relay where mail would go: the output is a golden
// file, with what differs from run to run put in general terms.
func TestExplain(t *testing.T) {
	world := newInternet(t)
	ca := smtptest.NewAuthority(t)
	world.DNS.Set("shop.test", "600 CNAME mail.shop.test")
	world.DNS.Set("mail.shop.test", "300 MX 10 mx1.shop.test", "300 MX 20 mx2.shop.test")
	world.host("mx1.shop.test", smtptest.Script{TLS: ca.Server(t, "mx1.shop.test"), On: map[smtptest.Step]smtptest.Actor{
		smtptest.Rcpt: smtptest.ByPath(map[string]string{"nobody@shop.test": "550 5.1.1 no such user"}),
	}})
	world.host("mx2.shop.test", smtptest.Script{})
	world.DNS.Set("nomail.test", "MX 0 .")
	provider := smtptest.Start(t, smtptest.Script{Users: map[string]string{"account": "right"}})
	d := newDaemon(t, world.config()+fmt.Sprintf(`delivery: {port: %s}
policies: [{match: {user: app}, senders: ["*@sender.test"]}, {match: {user: local}, senders: ["*"]}]
routes:
  - name: internal
    match: {recipient_domain: [internal.test]}
    smarthosts: ["smtp://account@%s"]
    password: wrong
    tls: none
    allow_insecure_auth: true
`, world.port, provider.Addr())).start()
	var all strings.Builder
	for _, args := range [][]string{
		{"--to", "user@shop.test", "--from", "app@sender.test", "--as", "app", "--probe"},
		{"--to", "nobody@shop.test", "--from", "app@sender.test", "--as", "app", "--probe"},
		{"--to", "user@shop.test", "--from", "else@other.test", "--as", "app"},
		{"--to", "user@nomail.test", "--from", "app@sender.test", "--as", "app"},
		{"--to", "user@absent.test", "--from", "app@sender.test", "--as", "app"},
		{"--to", "user@internal.test", "--from", "app@sender.test", "--as", "app", "--probe"},
	} {
		out, errs, code := d.run(append([]string{"explain"}, args...)...)
		if code != 0 {
			t.Errorf("explain %v: exit %d\n%s", args, code, errs)
		}
		fmt.Fprintf(&all, "$ postrider explain %s\n%s\n", strings.Join(args, " "), out)
	}
	got := all.String()
	got = strings.ReplaceAll(got, world.port, "PORT")
	got = strings.ReplaceAll(got, fmt.Sprint(provider.Addr().Port()), "PROVIDER")
	got = regexp.MustCompile(`[0-9.]+ ms`).ReplaceAllString(got, "N ms")
	got = regexp.MustCompile(`TTL \d+`).ReplaceAllStringFunc(got, func(s string) string {
		n, _ := strconv.Atoi(s[len("TTL "):])
		return fmt.Sprint("TTL ", (n+59)/60*60) // some seconds have passed
	})
	const golden = "testdata/explain.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("explain says something else; see the difference with -update\n%s", got)
	}
	out, _, _ := d.run("explain", "--to", "user@shop.test", "--from", "app@sender.test", "--as", "app", "--probe", "--json")
	var x struct {
		Route string
		Probe struct{ Result, Host, TLS string }
		Steps []struct {
			What string
			TTL  float64
		}
	}
	if err := json.Unmarshal([]byte(out), &x); err != nil || x.Route != "mx" || x.Probe.Result != "accepted" || x.Probe.TLS == "" || len(x.Steps) < 4 {
		t.Errorf("explain --json: %v\n%s", err, out)
	}
	if n := len(d.events("accepted")) + len(provider.Messages()); n > 0 {
		t.Error("explain has sent mail")
	}
}
