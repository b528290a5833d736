//go:build realpeers

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/smtptest"
)

// need returns where a program is; it is an error if it is not installed.
func need(t testing.TB, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		for _, dir := range []string{"/usr/sbin", "/usr/libexec/postfix"} {
			if full := filepath.Join(dir, program); exists(full) {
				return full
			}
		}
		t.Fatalf("%s is needed by this test and not installed; .ci/run names the packages", program)
	}
	return path
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// startPeer runs a program until the end of the test and waits until addr is
// open.
func startPeer(t testing.TB, addr, program string, args ...string) {
	t.Helper()
	cmd := exec.Command(need(t, program), args...)
	var out logBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // its children may keep the pipe open
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	eventually(t, program+" listens", func() error {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
			return nil
		}
		select {
		case <-ended:
			t.Fatalf("%s has ended:\n%s", program, &out)
		default:
		}
		return fmt.Errorf("%w\n%s", err, &out)
	})
}

// smtpSink starts Postfix's smtp-sink, which keeps each message in a file of
// dir: first the envelope as X- lines, then the content as it came.
type smtpSink struct {
	Addr, dir string
}

func newSMTPSink(t testing.TB) *smtpSink {
	t.Helper()
	s := &smtpSink{Addr: smtptest.FreeAddress(t), dir: t.TempDir()}
	if err := os.Chmod(s.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	args := []string{"-d", filepath.Join(s.dir, "%M."), "-m", "500"}
	if os.Getuid() == 0 {
		args = append(args, "-u", "nobody", "-R", s.dir)
		args[1] = "%M."
	}
	startPeer(t, s.Addr, "smtp-sink", append(args, "inet:"+s.Addr, "500")...)
	return s
}

// contents returns the messages that have arrived, without the lines smtp-sink
// puts on top, with CRLF line ends as they were sent.
func (s *smtpSink) contents(t testing.TB) []string {
	t.Helper()
	files, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(s.dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	return all
}

// postfix is a real Postfix that accepts mail for example.test into maildirs,
// with configuration, queue and mail in a directory of its own.
type postfix struct {
	Addr string
	dir  string
}

func newPostfix(t testing.TB, addr string) *postfix {
	t.Helper()
	need(t, "postfix")
	// Postfix wants its directories below a path that its own user can reach.
	dir, err := os.MkdirTemp("/tmp", "postrider-postfix")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &postfix{Addr: addr, dir: dir}
	for _, sub := range []string{"conf", "queue", "data", "mail"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(dir, 0o755)
	run(t, "chown", "postfix", filepath.Join(dir, "data"))
	run(t, "chown", "nobody", filepath.Join(dir, "mail"))
	host, port, _ := net.SplitHostPort(addr)
	uid := strings.TrimSpace(run(t, "id", "-u", "nobody"))
	gid := strings.TrimSpace(run(t, "id", "-g", "nobody"))
	write(t, filepath.Join(dir, "conf", "main.cf"), fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mx.example.test
mydestination =
mynetworks = 0.0.0.0/32
local_recipient_maps =
virtual_mailbox_domains = example.test
virtual_mailbox_base = %[1]s/mail
virtual_mailbox_maps = static:all/
virtual_mailbox_limit = 0
virtual_uid_maps = static:%[2]s
virtual_gid_maps = static:%[3]s
virtual_minimum_uid = 1
message_size_limit = 104857600
maillog_file = %[1]s/log
maillog_file_prefixes = /tmp
alias_maps =
smtpd_tls_security_level = none
`, dir, uid, gid))
	write(t, filepath.Join(dir, "conf", "master.cf"), fmt.Sprintf(`%s:%s inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
showq unix n - n - - showq
postlog unix-dgram n - n - 1 postlogd
`, host, port))
	startPeer(t, addr, "postfix", "-c", filepath.Join(dir, "conf"), "start-fg")
	t.Cleanup(func() { run(t, "postfix", "-c", filepath.Join(dir, "conf"), "stop") })
	return p
}

// contents returns what has been put into the maildir.
func (p *postfix) contents(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, sub := range []string{"new", "cur"} {
		files, _ := os.ReadDir(filepath.Join(p.dir, "mail", "all", sub))
		for _, f := range files {
			b, err := os.ReadFile(filepath.Join(p.dir, "mail", "all", sub, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(b))
		}
	}
	return all
}

// run runs a program to its end and returns what it printed.
func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(need(t, program), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}
