package queue

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A delay report names the end of patience only where there is one, and says that
// the delay is not for ever.
func TestDelayReports(t *testing.T) {
	var asked atomic.Int64
	var mended atomic.Bool
	for _, row := range []struct {
		why, to string
		deliver deliverFunc
		until   bool
		status  string
	}{
		{"greylisted: it expires", "b@z.example", alwaysGreylisted, true, "Status: 4.2.0"},
		{"unreachable: it expires", "b@z.example", alwaysUnreachable, true, "Status: 4.4.1"},
		{"the route is suspended, whatever the login's refusal says of itself", "b@y.example", suspendedForever, false, "Status: 4.7.8"},
		{"a refused sender: it waits for as long as that takes", "b@y.example", refuses(&asked, &mended), false, "Status: 4.7.1"},
	} {
		t.Run(row.why, func(t *testing.T) {
			var got reports
			inBubble(t, got.deliver(row.deliver), func(r *rig) {
				r.send("app@good.example", "b@y.example") // so that a refusal is the sender's alone
				r.send("a@bad.example", row.to)
				time.Sleep(plan.WarnAfter + time.Hour)
				if len(got.all()) == 0 {
					t.Fatal("no report of the delay")
				}
				for _, report := range got.all() {
					text := report.from
					for _, date := range []string{"Will-Retry-Until:", "tried again until"} {
						if strings.Contains(text, date) != row.until {
							t.Errorf("says %q: %t\n%s", date, !row.until, text)
						}
					}
					if !strings.Contains(text, "\r\n"+row.status+"\r\n") {
						t.Errorf("not %q\n%s", row.status, text)
					}
				}
			}, func(o *Options) { o.Router = mxRouter{map[string]string{"y.example": "smart"}} })
		})
	}
}
