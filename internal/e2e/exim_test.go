//go:build realpeers

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/smtptest"
)

// exim is a real Exim that accepts mail for example.test into a maildir, all in a
// directory of its own.
type exim struct {
	Addr string
	dir  string
}

func newExim(t testing.TB, addr string) *exim {
	t.Helper()
	need(t, "exim4")
	dir, err := os.MkdirTemp("/tmp", "postrider-exim")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	os.Chmod(dir, 0o755)
	run(t, "chown", "Debian-exim", dir)
	e := &exim{Addr: addr, dir: dir}
	host, port, _ := net.SplitHostPort(addr)
	file := filepath.Join(dir, "exim.conf")
	write(t, file, fmt.Sprintf(`spool_directory = %[1]s/spool
log_file_path = %[1]s/%%slog
pid_file_path = %[1]s/pid
deliver_drop_privilege = true
primary_hostname = mx.example.test
local_interfaces = %[2]s
daemon_smtp_ports = %[3]s
acl_smtp_rcpt = check
smtp_accept_max_per_connection = 0
message_size_limit = 100M
chunking_advertise_hosts = *
pipelining_advertise_hosts = *
dsn_advertise_hosts = *
smtputf8_advertise_hosts = *
accept_8bitmime = true
tls_advertise_hosts =
host_lookup =
begin acl
check:
  deny local_parts = nobody
       message = no such user
  accept
begin routers
all:
  driver = accept
  domains = example.test
  transport = keep
begin transports
keep:
  driver = appendfile
  maildir_format
  directory = %[1]s/mail
  create_directory
  user = Debian-exim
begin retry
`, dir, host, port))
	run(t, "chown", "root", file)
	startPeer(t, addr, "exim4", "-C", file, "-bdf", "-q1h")
	return e
}

// contents returns what has been put into the maildir.
func (e *exim) contents(t testing.TB) []string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(e.dir, "mail", "new", "*"))
	var all []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}

// mailServers are the real ones that take mail here as the MX host of
// example.test.
var mailServers = []struct {
	name  string
	start func(testing.TB, string) func(testing.TB) []string
}{
	{"postfix", func(t testing.TB, addr string) func(testing.TB) []string { return newPostfix(t, addr).contents }},
	{"exim", func(t testing.TB, addr string) func(testing.TB) []string { return newExim(t, addr).contents }},
}

// TestExtensionsOfRealServers sends what needs 8BITMIME, SMTPUTF8, DSN, PIPELINING
// and CHUNKING to Postfix and to Exim; these are made use of, and what the servers
// refuse comes back as a report.
func TestExtensionsOfRealServers(t *testing.T) {
	for i, server := range mailServers {
		t.Run(server.name, func(t *testing.T) {
			world := newInternet(t)
			sender := world.mailbox("sender.test")
			mx := fmt.Sprintf("127.0.8.%d", i+1)
			_, port, _ := net.SplitHostPort(smtptest.FreeAddress(t))
			arrived := server.start(t, net.JoinHostPort(mx, port))
			wire := newTap(t, net.JoinHostPort(mx, world.port), net.JoinHostPort(mx, port))
			world.DNS.Set("example.test", "MX 10 mx.example.test")
			world.DNS.Set("mx.example.test", "A "+mx)
			d := newDaemon(t, world.config()+"delivery: {port: "+world.port+"}\n").start()
			letters := []struct {
				name string
				letter
				want []string
			}{
				{"8-bit", letter{From: "<app@sender.test> BODY=8BITMIME", To: []string{"<user@example.test>"},
					Content: "Subject: t-eight-\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n"},
					[]string{"Subject: t-eight-", "Grüße"}},
				{"internationalised", letter{From: "<app@sender.test> SMTPUTF8 BODY=8BITMIME", To: []string{"<üser@example.test>"},
					Content: "Subject: t-utf8- Grüße\r\n\r\nhello\r\n"},
					[]string{"Subject: t-utf8- Grüße"}},
				{"several recipients with DSN", letter{From: "<app@sender.test> RET=HDRS ENVID=order-17",
					To:      []string{"<one@example.test> NOTIFY=FAILURE ORCPT=rfc822;first@example.test", "<two@example.test>"},
					Content: "Subject: t-dsn-\r\n\r\n.\r\n..\r\n.dots\r\n"},
					[]string{"Subject: t-dsn-", "\n.dots"}},
				{"large", letter{From: "<app@sender.test>", To: []string{"<user@example.test>"},
					Content: "Subject: t-large-\r\n\r\n" + strings.Repeat(".0123456789 abcdefghij\r\n", 100_000)},
					[]string{"Subject: t-large-", strings.Repeat(".0123456789 abcdefghij\n", 100_000)}},
			}
			for range 2 { // the second time over sessions that have been used before
				for _, l := range letters {
					l.Content = dotted(l.Content)
					d.accept(l.letter)
					for _, to := range l.To {
						address, _, _ := strings.Cut(to[1:], ">")
						d.await("delivered", address, 1)
					}
				}
				d.waitEmpty()
			}
			if n := len(d.events("deferred")) + len(d.events("bounced")); n > 0 {
				t.Fatalf("%d deferred or bounced:\n%s", n, d.log)
			}
			wire.assertFlights(t)
			for _, l := range letters {
				eventually(t, l.name+" is in the mailbox", func() error {
					copies := 0
					for _, content := range arrived(t) {
						content, holds := unixLines(content), true
						for _, part := range l.want {
							holds = holds && strings.Contains(content, part)
						}
						if holds {
							copies++
						}
					}
					if copies < 2*len(l.To) && !(server.name == "exim" && copies >= 2) { // Exim's transport keeps one copy for all
						return fmt.Errorf("%d copies", copies)
					}
					return nil
				})
			}
			if server.name == "exim" {
				d.accept(letter{From: "<app@sender.test>", To: []string{"<nobody@example.test>"}})
				if text := string(sender.Await(t, 1)[0].Content); !strings.Contains(text, "no such user") {
					t.Errorf("the report:\n%s", text)
				}
			}
		})
	}
}

// dotted is content with the dots that DATA wants.
func dotted(content string) string {
	return strings.TrimPrefix(strings.ReplaceAll("\r\n"+content, "\r\n.", "\r\n.."), "\r\n")
}
