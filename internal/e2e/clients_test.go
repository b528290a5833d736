//go:build realpeers

package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mailClients are the programs people really submit with: each sends file from
// sender@example.org to rcpt@example.test with AUTH after STARTTLS.
var mailClients = []struct {
	name    string
	command func(t *testing.T, host, port, file string) *exec.Cmd
}{
	{"swaks", func(t *testing.T, host, port, file string) *exec.Cmd {
		return exec.Command(need(t, "swaks"), "--server", host, "--port", port, "--tls",
			"--auth", "LOGIN", "--auth-user", user, "--auth-password", password,
			"--from", "sender@example.org", "--to", "rcpt@example.test", "--data", "@"+file, "--suppress-data")
	}},
	{"curl", func(t *testing.T, host, port, file string) *exec.Cmd {
		return exec.Command(need(t, "curl"), "-sS", "--insecure", "--ssl-reqd", "smtp://"+net.JoinHostPort(host, port),
			"--user", user+":"+password, "--mail-from", "sender@example.org", "--mail-rcpt", "rcpt@example.test",
			"--upload-file", file)
	}},
	{"python", func(t *testing.T, host, port, file string) *exec.Cmd {
		const script = `
import smtplib, ssl, sys
host, port, user, password, file = sys.argv[1:]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with smtplib.SMTP(host, int(port)) as s:
    s.starttls(context=context)
    s.login(user, password)
    s.sendmail("sender@example.org", ["rcpt@example.test"], open(file, "rb").read())
`
		return exec.Command(need(t, "python3"), "-c", script, host, port, user, password, file)
	}},
	{"msmtp", func(t *testing.T, host, port, file string) *exec.Cmd {
		cmd := exec.Command(need(t, "msmtp"), "--host="+host, "--port="+port, "--tls=on", "--tls-certcheck=off",
			"--auth=plain", "--user="+user, "--passwordeval=echo "+password, "--file=/dev/null",
			"--from=sender@example.org", "--undisclosed-recipients=off", "--set-from-header=off", "--remove-bcc-headers=off", "rcpt@example.test")
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		cmd.Stdin = f
		return cmd
	}},
}

// bodies are what must arrive as it was sent.
var bodies = []struct{ name, text string }{
	{"dots", ".\r\n..\r\n.leading dot\r\na dot alone:\r\n.\r\nend with a dot.\r\n"},
	{"eight-bit", "Gr\xc3\xbc\xc3\x9fe, \xff\xfe not UTF-8 either\r\n"},
	{"longest-line", strings.Repeat("9", 998) + "\r\n"},
	{"20MB", strings.Repeat(".\r\n"+strings.Repeat("m", 74)+"\r\n", 20<<20/79)},
}

// TestClientsThroughSmarthost sends with every client to smtp-sink.
func TestClientsThroughSmarthost(t *testing.T) {
	sink := newSMTPSink(t)
	d := newDaemon(t, fmt.Sprintf("routes: [{smarthosts: [\"smtp://%s\"]}]\n", sink.Addr)).start()
	sendWithEveryClient(t, d, func() []string { return sink.contents(t) })
}

// TestClientsThroughMX sends with every client to a real Postfix that the zone
// of example.test names as its MX host.
func TestClientsThroughMX(t *testing.T) {
	const mx = "127.0.0.5"
	pf := newPostfix(t, mx+":"+freePort(t, mx))
	_, port, _ := net.SplitHostPort(pf.Addr)
	zone := newZone(t, mx)
	d := newDaemon(t, fmt.Sprintf("dns: {servers: [\"%s\"]}\ndelivery: {port: %s}\n", zone, port)).start()
	sendWithEveryClient(t, d, func() []string { return pf.contents(t) })
}

func sendWithEveryClient(t *testing.T, d *daemon, arrived func() []string) {
	host, port, _ := net.SplitHostPort(d.Submission)
	for _, client := range mailClients {
		for _, body := range bodies {
			t.Run(client.name+"/"+body.name, func(t *testing.T) {
				token := fmt.Sprintf("token-%s-%s-", client.name, body.name)
				file := filepath.Join(t.TempDir(), "message")
				write(t, file, "From: sender@example.org\r\nTo: rcpt@example.test\r\nSubject: "+token+"\r\n\r\n"+body.text)
				if out, err := client.command(t, host, port, file).CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", client.name, err, out)
				}
				d.waitEmpty()
				var content string
				eventually(t, "what was delivered is in the mailbox", func() error {
					all := arrived()
					at := slices.IndexFunc(all, func(c string) bool { return strings.Contains(c, "Subject: "+token) })
					if at < 0 {
						return fmt.Errorf("not among %d messages", len(all))
					}
					content = all[at]
					return nil
				})
				if got, want := bodyOf(content), unixLines(body.text); strings.TrimRight(got, "\n") != strings.TrimRight(want, "\n") {
					t.Errorf("the body changed: %d octets arrived, %d were sent; the first difference is %s",
						len(got), len(want), difference(got, want))
				}
				if !strings.Contains(content, "with ESMTPSA") {
					t.Errorf("no Received field with ESMTPSA in\n%.600s", content)
				}
			})
		}
	}
	if code := d.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

// bodyOf cuts the header off, with bare line feeds as the peers store them. The
// header of the message begins after what the sink has put on top.
func bodyOf(content string) string {
	content = unixLines(content)
	at := strings.Index(content, "Subject: token-")
	if at < 0 {
		return ""
	}
	_, body, _ := strings.Cut(content[at:], "\n\n")
	return body
}

func unixLines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

func difference(got, want string) string {
	a, b := []byte(got), []byte(want)
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	cut := func(s []byte) []byte { return bytes.TrimSpace(s[min(n, len(s)):min(n+40, len(s))]) }
	return fmt.Sprintf("at %d: %q instead of %q", n, cut(a), cut(b))
}

// TestTenThousand puts 10,000 messages over 20 connections through the relay
// with Postfix's own load generator, and counts them at the other end.
func TestTenThousand(t *testing.T) {
	const messages, connections = 10_000, 20
	to := newSink(t, "")
	d := newDaemon(t, fmt.Sprintf("routes: [{smarthosts: [\"smtp://%s\"], tls: none}]\n", to.Addr)).start()
	run(t, "smtp-source", "-4", "-s", fmt.Sprint(connections), "-m", fmt.Sprint(messages), "-l", "10000",
		"-N", "-f", "sender@example.org", "-t", "rcpt@example.test", "inet:"+d.Open)
	eventually(t, "all messages arrive", func() error {
		if n := to.count(); n < messages {
			return fmt.Errorf("%d of %d", n, messages)
		}
		return nil
	})
	d.waitEmpty()
	if n := to.count(); n != messages {
		t.Errorf("%d messages arrived, %d were sent", n, messages)
	}
	if n := len(d.events("delivered")); n != messages {
		t.Errorf("%d delivered events for %d messages", n, messages)
	}
}
