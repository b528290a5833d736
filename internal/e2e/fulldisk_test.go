//go:build realpeers

package e2e

import (
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postrider/postrider/internal/smtptest"
)

// smallDisk mounts a file system of so many octets for the daemon's state. Who is
// not root runs the test again in a namespace in which he is; then ok is false.
func smallDisk(t *testing.T, d *daemon, size int) (ok bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		again := exec.Command(need(t, "unshare"), "-Urm", os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
		if out, err := again.CombinedOutput(); err != nil {
			t.Fatalf("in a namespace of its own: %v\n%s", err, out)
		}
		return false
	}
	state := filepath.Join(d.dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", state, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		t.Fatalf("mounting a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(state, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return true
}

// fill takes all the space that is left and returns the file that has it.
func fill(t *testing.T, d *daemon) string {
	t.Helper()
	name := filepath.Join(d.dir, "state", "filler")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2 // ENOSPC
		}
	}
	return name
}

// TestFullDisk fills a real disk with mail. It is refused with 452 4.3.1 then and
// the relay is not ready, but deliveries go on; with space again all goes on by
// itself, and nothing that was acknowledged is lost.
func TestFullDisk(t *testing.T) {
	next := smtptest.FreeAddress(t) // nobody listens there yet
	d := newDaemon(t, fmt.Sprintf("routes: [{smarthosts: [\"smtp://%s\"], tls: none}]\nretry: {intervals: [1s]}\nqueue: {min_free: 0}\n", next))
	if !smallDisk(t, d, 48<<20) {
		return
	}
	d.start()

	var acknowledged []string
	send := func(size int) error {
		token := fmt.Sprintf("token-%d-", len(acknowledged))
		err := submit(d.Open, token, size)
		if err == nil {
			acknowledged = append(acknowledged, token)
		}
		return err
	}
	var refusal error
	for refusal == nil && len(acknowledged) < 10_000 {
		refusal = send(100_000 * (1 + len(acknowledged)%3))
	}
	filler := fill(t, d)
	for _, size := range []int{500_000, 2000} {
		eventually(t, "small messages are refused too", func() error {
			if refusal = send(size); refusal == nil {
				return errors.New("it was taken")
			}
			return nil
		})
		var reply *textproto.Error
		if !errors.As(refusal, &reply) || reply.Code != 452 || !strings.HasPrefix(reply.Msg, "4.3.1 ") {
			t.Errorf("a message of %d octets on a full disk: %v", size, refusal)
		}
	}
	if len(acknowledged) < 10 {
		t.Fatalf("only %d messages were taken: the test shows little", len(acknowledged))
	}
	eventually(t, "the relay is not ready", func() error {
		if get("http://"+d.Admin+"/readyz") == nil {
			return errors.New("it says it is")
		}
		return nil
	})
	if get("http://"+d.Admin+"/livez") != nil {
		t.Error("a full disk is no reason to be restarted")
	}
	if len(d.events("queue_disk_full")) == 0 {
		t.Errorf("no line says that the disk is full:\n%s", d.log)
	}

	// The next hop is there: what waits is delivered, though the disk is full.
	to := newSink(t, next)
	if _, errs, code := d.run("queue", "retry", "--all"); code != 0 {
		t.Fatalf("queue retry: exit %d\n%s", code, errs)
	}
	eventually(t, "the backlog is delivered", func() error {
		if n := to.count(); n < len(acknowledged) {
			return fmt.Errorf("%d of %d", n, len(acknowledged))
		}
		return nil
	})
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the relay is ready again", func() error { return get("http://" + d.Admin + "/readyz") })
	eventually(t, "mail is taken again", func() error { return send(200_000) })
	d.waitEmpty()
	if code := d.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
	copies := map[string]int{}
	for _, m := range to.messages() {
		copies[tokenOf(m.Data)]++
	}
	for _, token := range acknowledged {
		if copies[token] != 1 {
			t.Errorf("%s was delivered %d times", token, copies[token])
		}
	}
	t.Logf("%d messages filled the disk", len(acknowledged))
}
