//go:build realpeers

package e2e

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/smtptest"
)

// submission describes one message on its way in: who logs in how, and over what.
type submission struct {
	host, port string
	implicit   bool // TLS from the first octet, else STARTTLS
	mechanism  string
	file       string // the message
	mark       string // a token in its subject
}

// pick returns starttls or implicit.
func (s submission) pick(starttls, implicit string) string {
	if s.implicit {
		return implicit
	}
	return starttls
}

// loginClients are programs people submit with, and the mechanisms each knows of
// those there are.
var loginClients = []struct {
	name       string
	mechanisms []string
	send       func(t *testing.T, s submission) error
}{
	{"swaks", []string{"PLAIN", "LOGIN"}, func(t *testing.T, s submission) error {
		return execute(t, "", "swaks", "--server", s.host, "--port", s.port, s.pick("--tls", "--tls-on-connect"),
			"--auth", s.mechanism, "--auth-user", user, "--auth-password", password,
			"--from", "sender@example.org", "--to", "rcpt@example.test", "--data", "@"+s.file)
	}},
	{"curl", []string{"PLAIN", "LOGIN"}, func(t *testing.T, s submission) error {
		return execute(t, "", "curl", "-sS", "--insecure", "--ssl-reqd", s.pick("smtp", "smtps")+"://"+net.JoinHostPort(s.host, s.port),
			"--login-options", "AUTH="+s.mechanism, "--user", user+":"+password,
			"--mail-from", "sender@example.org", "--mail-rcpt", "rcpt@example.test", "--upload-file", s.file)
	}},
	{"msmtp", []string{"PLAIN", "LOGIN", "SCRAM-SHA-256"}, func(t *testing.T, s submission) error {
		return execute(t, s.file, "msmtp", "--host="+s.host, "--port="+s.port, "--tls=on", "--tls-certcheck=off",
			"--tls-starttls="+s.pick("on", "off"), "--auth="+strings.ToLower(s.mechanism), "--user="+user,
			"--passwordeval=echo "+password, "--file=/dev/null", "--from=sender@example.org", "rcpt@example.test")
	}},
	{"python-smtplib", []string{"PLAIN", "LOGIN"}, func(t *testing.T, s submission) error {
		return execute(t, "", "python3", "testdata/clients/python-smtplib.py", s.host, s.port, s.pick("starttls", "implicit"), s.mechanism, user, password, s.file)
	}},
	{"perl-net-smtp", []string{"PLAIN", "LOGIN"}, func(t *testing.T, s submission) error {
		return execute(t, "", "perl", "testdata/clients/net-smtp.pl", s.host, s.port, s.pick("starttls", "implicit"), s.mechanism, user, password, s.file)
	}},
	{"nodemailer", []string{"PLAIN", "LOGIN"}, func(t *testing.T, s submission) error {
		return execute(t, "", "node", "testdata/clients/nodemailer.js", s.host, s.port, s.pick("starttls", "implicit"), s.mechanism, user, password, s.file)
	}},
	{"phpmailer", []string{"PLAIN", "LOGIN"}, func(t *testing.T, s submission) error {
		return execute(t, "", "php", "testdata/clients/phpmailer.php", s.host, s.port, s.pick("starttls", "implicit"), s.mechanism, user, password, s.mark)
	}},
	{"git-send-email", []string{"PLAIN", "LOGIN"}, func(t *testing.T, s submission) error {
		return execute(t, "", "git", "send-email", "--quiet", "--confirm=never", "--suppress-cc=all", "--no-format-patch", "--no-validate",
			"--smtp-server="+s.host, "--smtp-server-port="+s.port, "--smtp-encryption="+s.pick("tls", "ssl"), "--smtp-ssl-cert-path", "",
			"--smtp-auth="+s.mechanism, "--smtp-user="+user, "--smtp-pass="+password,
			"--from=sender@example.org", "--to=rcpt@example.test", s.file)
	}},
	{"go-net-smtp", []string{"PLAIN"}, func(t *testing.T, s submission) error {
		conn, err := net.Dial("tcp", net.JoinHostPort(s.host, s.port))
		if err != nil {
			return err
		}
		defer conn.Close()
		conf := &tls.Config{InsecureSkipVerify: true}
		if s.implicit {
			conn = tls.Client(conn, conf)
		}
		c, err := smtp.NewClient(conn, s.host)
		if err == nil && !s.implicit {
			err = c.StartTLS(conf)
		}
		if err != nil {
			return err
		}
		content, err := os.ReadFile(s.file)
		if err != nil {
			return err
		}
		for _, step := range []func() error{
			func() error { return c.Auth(smtp.PlainAuth("", user, password, s.host)) },
			func() error { return c.Mail("sender@example.org") },
			func() error { return c.Rcpt("rcpt@example.test") },
			func() error {
				w, err := c.Data()
				if err != nil {
					return err
				}
				if _, err := w.Write(content); err != nil {
					return err
				}
				return w.Close()
			},
			c.Quit,
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	}},
}

// execute runs a program to its end. stdin is a file, if it is not empty.
func execute(t *testing.T, stdin, program string, args ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), need(t, program), args...)
	// Nothing of the user's may matter.
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_COMMITTER_NAME=Sender", "GIT_COMMITTER_EMAIL=sender@example.org",
		"GIT_AUTHOR_NAME=Sender", "GIT_AUTHOR_EMAIL=sender@example.org", "NODE_PATH=/usr/share/nodejs")
	if stdin != "" {
		f, err := os.Open(stdin)
		if err != nil {
			return err
		}
		defer f.Close()
		cmd.Stdin = f
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}

// loginDaemon runs a relay that knows its user in every way, with listeners for
// each kind of encryption and a unix socket.
func loginDaemon(t *testing.T, to *sink) (d *daemon, implicit, socket string, client *tls.Config) {
	t.Helper()
	ca := smtptest.NewAuthority(t)
	d = newDaemon(t, fmt.Sprintf("routes: [{smarthosts: [\"smtp://%s\"], tls: none}]\ntls: {client_ca: %s}\n", to.Addr, ca.File(t)))
	implicit, socket = smtptest.FreeAddress(t), filepath.Join(d.dir, "submit")
	b, err := os.ReadFile(d.config)
	if err != nil {
		t.Fatal(err)
	}
	d.write(strings.NewReplacer(
		"listeners:\n", fmt.Sprintf("listeners:\n  - {address: %q, tls: implicit}\n  - {address: \"unix:%s\", auth: peer}\n", implicit, socket),
		"auth: {", "auth: { certificates: [{subject: app.example.com, identity: app}],",
	).Replace(string(b)))
	add := exec.Command(binary, "user", "add", "--scram", "-c", d.config, user)
	add.Stdin = strings.NewReader(password + "\n")
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("user add: %v\n%s", err, out)
	}
	return d.start(), implicit, socket, ca.Client(t, "app.example.com")
}

// TestLogins has every client log in by every mechanism it knows, over STARTTLS
// and over implicit TLS, and looks for what it sent at the next hop.
func TestLogins(t *testing.T) {
	to := newSink(t, "")
	d, implicit, _, _ := loginDaemon(t, to)
	for _, client := range loginClients {
		for _, mechanism := range client.mechanisms {
			for _, kind := range []string{"STARTTLS", "implicit"} {
				t.Run(client.name+"/"+mechanism+"/"+kind, func(t *testing.T) {
					s := newSubmission(t, d.Submission, mechanism)
					if s.implicit = kind == "implicit"; s.implicit {
						s.host, s.port, _ = net.SplitHostPort(implicit)
					}
					if err := client.send(t, s); err != nil {
						t.Fatal(err)
					}
					arrivedAs(t, d, to, s, user, mechanism)
				})
			}
		}
	}
}

// TestChannelBinding has GNU SASL, which sends no mail, log in bound to its TLS
// connection: by tls-exporter under TLS 1.3, by tls-unique under TLS 1.2.
func TestChannelBinding(t *testing.T) {
	to := newSink(t, "")
	d, _, _, _ := loginDaemon(t, to)
	for _, c := range []struct{ version, mechanism, password, result string }{
		{"1.3", "SCRAM-SHA-256-PLUS", password, "235"},
		{"1.2", "SCRAM-SHA-256-PLUS", password, "235"},
		{"1.3", "SCRAM-SHA-256-PLUS", "wrong", "535"},
		{"1.2", "SCRAM-SHA-256-PLUS", "wrong", "535"},
		{"1.3", "SCRAM-SHA-256", password, "235"},
		{"1.3", "PLAIN", password, "235"},
		{"1.2", "LOGIN", password, "235"},
	} {
		t.Run(c.mechanism+"/"+c.version+"/"+c.result, func(t *testing.T) {
			args := []string{"--smtp", "--starttls", "--x509-ca-file=", "--priority=NORMAL:-VERS-ALL:+VERS-TLS" + c.version,
				"--connect=" + d.Submission, "--mechanism=" + c.mechanism, "--authentication-id=" + user, "--password=" + c.password}
			if c.mechanism == "SCRAM-SHA-256" {
				args = append(args, "--no-cb")
			}
			if err := execute(t, "", "gsasl", args...); (err == nil) != (c.result == "235") {
				t.Error(err)
			}
			logins := d.events("auth")
			if len(logins) == 0 {
				t.Fatal("no login was logged")
			}
			last := logins[len(logins)-1]
			if fmt.Sprint(last["code"]) != c.result || last["mechanism"] != c.mechanism || last["tls"] != "TLSv"+c.version || last["identity"] != user {
				t.Errorf("logged: %v", last)
			}
		})
	}
}

// TestExternal logs in by client certificate, without a password.
func TestExternal(t *testing.T) {
	to := newSink(t, "")
	d, implicit, _, conf := loginDaemon(t, to)
	certFile, keyFile := writeCertificate(t, conf.Certificates[0])
	for _, kind := range []string{"STARTTLS", "implicit"} {
		s := newSubmission(t, d.Submission, "EXTERNAL")
		if s.implicit = kind == "implicit"; s.implicit {
			s.host, s.port, _ = net.SplitHostPort(implicit)
		}
		t.Run("curl/"+kind, func(t *testing.T) {
			s := s
			s.file, s.mark = newMessage(t)
			if err := execute(t, "", "curl", "-sS", "--insecure", "--ssl-reqd", s.pick("smtp", "smtps")+"://"+net.JoinHostPort(s.host, s.port),
				"--cert", certFile, "--key", keyFile, "--login-options", "AUTH=EXTERNAL", "--user", user+":",
				"--mail-from", "sender@example.org", "--mail-rcpt", "rcpt@example.test", "--upload-file", s.file); err != nil {
				t.Fatal(err)
			}
			arrivedAs(t, d, to, s, user, "EXTERNAL")
		})
		t.Run("msmtp/"+kind, func(t *testing.T) {
			s := s
			s.file, s.mark = newMessage(t)
			if err := execute(t, s.file, "msmtp", "--host="+s.host, "--port="+s.port, "--tls=on", "--tls-certcheck=off",
				"--tls-starttls="+s.pick("on", "off"), "--tls-cert-file="+certFile, "--tls-key-file="+keyFile, "--auth=external",
				"--user="+user, "--file=/dev/null", "--from=sender@example.org", "rcpt@example.test"); err != nil {
				t.Fatal(err)
			}
			arrivedAs(t, d, to, s, user, "EXTERNAL")
		})
	}
}

// TestUnixSocket: the calling process's user is the identity, with AUTH and
// without.
func TestUnixSocket(t *testing.T) {
	to := newSink(t, "")
	d, _, socket, _ := loginDaemon(t, to)
	me := strings.TrimSpace(run(t, "id", "-un"))
	t.Run("swaks", func(t *testing.T) {
		s := newSubmission(t, d.Submission, "peer")
		if err := execute(t, "", "swaks", "--socket", socket, "--from", "sender@example.org", "--to", "rcpt@example.test", "--data", "@"+s.file); err != nil {
			t.Fatal(err)
		}
		arrivedAs(t, d, to, s, me, "peer")
	})
	t.Run("curl", func(t *testing.T) {
		s := newSubmission(t, d.Submission, "EXTERNAL")
		if err := execute(t, "", "curl", "-sS", "--unix-socket", socket, "smtp://localhost", "--login-options", "AUTH=EXTERNAL", "--user", me+":",
			"--mail-from", "sender@example.org", "--mail-rcpt", "rcpt@example.test", "--upload-file", s.file); err != nil {
			t.Fatal(err)
		}
		arrivedAs(t, d, to, s, me, "EXTERNAL")
	})
}

// newSubmission makes a message to be sent to addr.
func newSubmission(t *testing.T, addr, mechanism string) submission {
	t.Helper()
	s := submission{mechanism: mechanism}
	s.host, s.port, _ = net.SplitHostPort(addr)
	s.file, s.mark = newMessage(t)
	return s
}

// newMessage writes a message to a file, and returns a word that is in its subject.
func newMessage(t *testing.T) (file, mark string) {
	t.Helper()
	mark = "mark-" + strings.NewReplacer("/", "-").Replace(t.Name()) + "-"
	file = filepath.Join(t.TempDir(), "message.eml")
	write(t, file, "From: sender@example.org\r\nTo: rcpt@example.test\r\nSubject: "+mark+"\r\n\r\n.a line\r\n")
	return file, mark
}

// arrivedAs waits for the message at the next hop, and looks up in the log how its
// sender had logged in.
func arrivedAs(t *testing.T, d *daemon, to *sink, s submission, identity, mechanism string) {
	t.Helper()
	eventually(t, "the message arrives", func() error {
		for _, m := range to.messages() {
			if strings.Contains(string(m.Data), s.mark) {
				return nil
			}
		}
		return fmt.Errorf("not among %d", to.count())
	})
	logins := d.events("auth")
	if len(logins) == 0 {
		t.Fatal("no login was logged")
	}
	last := logins[len(logins)-1]
	if last["identity"] != identity || last["mechanism"] != mechanism {
		t.Errorf("logged in as %v by %v, want %s by %s", last["identity"], last["mechanism"], identity, mechanism)
	}
	accepted := d.events("accepted")
	if e := accepted[len(accepted)-1]; e["identity"] != identity {
		t.Errorf("accepted from %v, want %s", e["identity"], identity)
	}
}
