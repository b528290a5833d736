package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/smtptest"
)

// TestInDoubt: a host that hangs up after the final dot may have the message. The
// operator sees that in the metrics, in the log and in the queue's list; the same host
// is asked again, although another one is as good, and then nothing is in doubt any
// more.
func TestInDoubt(t *testing.T) {
	world := newInternet(t)
	world.DNS.Set("example.test", "MX 10 first.example.test", "MX 10 second.example.test")
	forgetful := smtptest.Script{On: map[smtptest.Step]smtptest.Actor{
		smtptest.Content: smtptest.InTurn(smtptest.Action{Close: true}),
	}}
	hosts := map[string]*smtptest.Peer{}
	for _, name := range []string{"first.example.test", "second.example.test"} {
		hosts[name] = world.host(name, forgetful)
	}
	d := newDaemon(t, world.config()+"delivery: {port: "+world.port+"}\nretry: {intervals: [3s]}\n").start()
	d.awaitMetric("postrider_deliveries_in_doubt_total", "0")
	d.accept(letter{From: "<app@sender.test>", To: []string{"<user@example.test>"}})
	e := d.await("deferred", "user@example.test", 1)[0]
	if text := fmt.Sprint(e["error"]); !strings.Contains(text, "no answer after the end of the message") {
		t.Errorf("the log says %q", text)
	}
	d.awaitMetric("postrider_deliveries_in_doubt_total", "1")
	if out, _, code := d.run("queue", "list", "--json"); code != 0 || !strings.Contains(out, fmt.Sprint(`"in_doubt":"`, e["host"], `"`)) {
		t.Errorf("queue list: exit %d\n%s", code, out)
	}
	after := d.await("delivered", "user@example.test", 1)[0]
	if after["host"] != e["host"] {
		t.Errorf("in doubt at %v, asked again at %v", e["host"], after["host"])
	}
	d.waitEmpty()
	d.awaitMetric("postrider_deliveries_in_doubt_total", "1")
	doubtful := hosts[fmt.Sprint(e["host"])]
	if n := doubtful.Steps(smtptest.Content); n != 2 {
		t.Errorf("the host saw %d final dots, want 2", n)
	}
}
