package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/dnstest"
	"github.com/postrider/postrider/internal/smtptest"
)

func (d *daemon) awaitMetric(series, value string) {
	d.t.Helper()
	eventually(d.t, series+" is "+value, func() error {
		if got := d.metric(series); got != value {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

// TestWrongPassword: with a wrong password at the smarthost the route is
// suspended, nothing bounces and nothing expires; the corrected file alone, without
// a restart or a signal, has the backlog flow at once.
func TestWrongPassword(t *testing.T) {
	ca := smtptest.NewAuthority(t)
	provider := smtptest.Start(t, smtptest.Script{
		TLS: ca.Server(t, "127.0.0.1"), Users: map[string]string{"account": "right"}, Keywords: []string{"PIPELINING"},
	})
	passwordFile := filepath.Join(t.TempDir(), "password")
	writePrivate(t, passwordFile, "wrong\n")
	d := newDaemon(t, fmt.Sprintf(`routes:
  - name: provider
    smarthosts: ["smtp://account@%s"]
    password_file: %s
    tls: verify
    ca_file: %s
retry: {intervals: [1h], lifetime: 2s}
`, provider.Addr(), passwordFile, ca.File(t)))
	d.start()
	const messages = 30
	for i := range messages {
		d.accept(letter{From: "<app@sender.test>", To: []string{fmt.Sprintf("<user%d@example.test>", i)}})
	}
	d.awaitMetric(`postrider_route_suspended{route="provider"}`, "1")
	if !strings.Contains(d.log.String(), `"route suspended"`) {
		t.Errorf("no alarm in the log:\n%s", d.log)
	}
	time.Sleep(3 * time.Second) // longer than retry.lifetime
	if n := provider.Steps(smtptest.Auth); n > 3 {
		t.Errorf("the smarthost saw %d logins with the wrong password", n)
	}
	if got := len(d.queue()); got != messages {
		t.Fatalf("%d of %d messages left: a wrong password has cost mail", got, messages)
	}
	if err := get("http://" + d.Admin + "/readyz"); err != nil {
		t.Errorf("a broken route fails readiness: %v", err)
	}
	writePrivate(t, passwordFile, "right\n")
	mended := time.Now()
	d.waitEmpty()
	if took := time.Since(mended); took > 20*time.Second {
		t.Errorf("the backlog took %v to flow", took)
	}
	if n := len(provider.Messages()); n != messages {
		t.Errorf("%d of %d messages arrived", n, messages)
	}
	for _, kind := range []string{"bounced", "expired"} {
		if n := len(d.events(kind)); n > 0 {
			t.Errorf("%d %s", n, kind)
		}
	}
	d.awaitMetric(`postrider_route_suspended{route="provider"}`, "0")

	// A file that somebody is just writing: the reload is refused, and so is not in force.
	writePrivate(t, passwordFile, "")
	d.awaitMetric("postrider_config_last_reload_successful", "0")
	d.accept(letter{From: "<app@sender.test>", To: []string{"<late@example.test>"}})
	d.await("delivered", "late@example.test", 1)
}

func writePrivate(t testing.TB, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestUnverifiableCertificate: a smarthost whose certificate is somebody else's is
// told no password and no mail; the right ca_file has the backlog flow.
func TestUnverifiableCertificate(t *testing.T) {
	right, wrong := smtptest.NewAuthority(t), smtptest.NewAuthority(t)
	provider := smtptest.Start(t, smtptest.Script{TLS: right.Server(t, "127.0.0.1"), Users: map[string]string{"account": "right"}})
	authorities := filepath.Join(t.TempDir(), "ca.pem")
	copyFile(t, wrong.File(t), authorities)
	d := newDaemon(t, fmt.Sprintf(`routes:
  - name: provider
    smarthosts: ["smtp://account@%s"]
    password: right
    tls: verify
    ca_file: %s
retry: {intervals: [1h]}
`, provider.Addr(), authorities))
	d.start()
	d.accept(letter{From: "<app@sender.test>", To: []string{"<user@example.test>"}})
	e := d.await("deferred", "user@example.test", 1)[0]
	if !strings.Contains(fmt.Sprint(e["error"]), "certificate") {
		t.Errorf("the event does not say that it is the certificate: %v", e)
	}
	d.awaitMetric(`postrider_route_suspended{route="provider"}`, "1")
	copyFile(t, right.File(t), authorities)
	d.await("delivered", "user@example.test", 1)
	if n := provider.Steps(smtptest.Auth); n != 1 {
		t.Errorf("%d logins, one was to be", n)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writePrivate(t, to, string(b))
}

// TestFailover: mail goes to the first smarthost, to the second while the first is
// down, and to one of them only.
func TestFailover(t *testing.T) {
	addr := smtptest.FreeAddress(t)
	second := smtptest.Start(t, smtptest.Script{})
	d := newDaemon(t, fmt.Sprintf("routes: [{name: pair, smarthosts: [\"smtp://%s\", \"smtp://%s\"], tls: none}]\nretry: {intervals: [1s]}\n", addr, second.Addr()))
	d.start()
	send := func(name string) {
		d.accept(letter{From: "<app@sender.test>", To: []string{"<" + name + "@example.test>"}})
		d.await("delivered", name+"@", 1)
	}
	send("down")
	if n := len(second.Messages()); n != 1 || len(d.about("deferred", "down@")) > 0 {
		t.Fatalf("%d messages at the second smarthost", n)
	}
	if d.metric(`postrider_route_suspended{route="pair"}`) != "0" {
		t.Error("the route is suspended while one of its hosts works")
	}
	first := smtptest.StartAt(t, addr, smtptest.Script{})
	// The first one is left alone for half a minute after a failure.
	eventually(t, "mail goes to the first smarthost again", func() error {
		send(fmt.Sprint("back", time.Now().UnixNano()))
		if len(first.Messages()) == 0 {
			time.Sleep(time.Second)
			return fmt.Errorf("%d went to the second", len(second.Messages()))
		}
		return nil
	})
	before := len(second.Messages())
	for i := range 5 {
		send(fmt.Sprint("up", i))
	}
	if len(second.Messages()) != before || len(first.Messages()) < 6 {
		t.Errorf("%d at the first, %d at the second before and %d after", len(first.Messages()), before, len(second.Messages()))
	}
}

// TestSenderRefusedBySmarthost: the wrong sender of one application stops neither
// the others nor the route, and costs that application no mail.
func TestSenderRefusedBySmarthost(t *testing.T) {
	provider := smtptest.Start(t, smtptest.Script{On: map[smtptest.Step]smtptest.Actor{
		smtptest.Mail: smtptest.ByPath(map[string]string{"app@wrong.test": "553 5.7.1 sender not owned by user"}),
	}})
	d := newDaemon(t, fmt.Sprintf("routes: [{name: provider, smarthosts: [\"smtp://%s\"], tls: none}]\nretry: {intervals: [1h], lifetime: 2s}\n", provider.Addr()))
	d.start()
	for i := range 5 {
		d.accept(letter{From: "<app@wrong.test>", To: []string{fmt.Sprintf("<wrong%d@example.test>", i)}})
		d.accept(letter{From: "<app@right.test>", To: []string{fmt.Sprintf("<right%d@example.test>", i)}})
	}
	d.await("delivered", "right", 5)
	time.Sleep(3 * time.Second) // longer than retry.lifetime
	if n := len(d.queue()); n != 5 {
		t.Errorf("%d messages left, want the five of the wrong sender", n)
	}
	if n := provider.Steps(smtptest.Mail); n > 9 {
		t.Errorf("MAIL was said %d times", n)
	}
	d.awaitMetric(`postrider_route_suspended{route="provider"}`, "0")
	d.awaitMetric(`postrider_senders_refused{route="provider"}`, "1")
	out, _, _ := d.run("queue", "stats")
	if !strings.Contains(out, "provider refuses mail from app@wrong.test") || !strings.Contains(out, "553 5.7.1 sender not owned by user") {
		t.Errorf("queue stats does not tell:\n%s", out)
	}
	if n := strings.Count(d.log.String(), "sender refused by the smarthost"); n != 1 {
		t.Errorf("the alarm was raised %d times", n)
	}
}

// TestReloadWhileTheSmarthostIsLookedUp: a reload that makes another network does not
// break off the look-up of an attempt, which would be taken for a fault of the route.
func TestReloadWhileTheSmarthostIsLookedUp(t *testing.T) {
	provider := smtptest.Start(t, smtptest.Script{})
	const host = "smart.provider.test"
	zone := dnstest.Start(t, dnstest.Zone{host: {"A 127.0.0.1"}})
	for _, row := range []struct{ why, change, to string }{
		{"another listener", "listeners:\n", "listeners:\n  - { address: \"" + smtptest.FreeAddress(t) + "\", auth: none, tls: none }\n"},
		{"other DNS servers", "dns: {", "dns: { timeout: 9s, "},
	} {
		t.Run(row.why, func(t *testing.T) {
			asked, gate := zone.Queries(host, "A"), make(chan struct{})
			zone.Break(host, "A", dnstest.Hold(gate))
			d := newDaemon(t, fmt.Sprintf("dns: { servers: [%q] }\nroutes: [{smarthosts: [\"smtp://%s:%d\"], tls: none}]\n",
				zone.Addr, host, provider.Addr().Port())).start()
			d.accept(letter{From: "<app@sender.test>", To: []string{"<user@example.test>"}})
			eventually(t, "the smarthost is looked up", func() error {
				if zone.Queries(host, "A") == asked {
					return errors.New("not yet")
				}
				return nil
			})
			b, err := os.ReadFile(d.config)
			if err != nil {
				t.Fatal(err)
			}
			d.reload(strings.Replace(string(b), row.change, row.to, 1))
			eventually(t, "the reload", func() error {
				if !strings.Contains(d.log.String(), `"reloaded"`) {
					return errors.New("not yet")
				}
				return nil
			})
			close(gate)
			d.await("delivered", "user@example.test", 1)
			if e := d.events("deferred"); len(e) > 0 {
				t.Errorf("deferred: %v", e)
			}
		})
	}
}
