package delivery

import (
	"testing"

	"github.com/postrider/postrider/queue"
)

// TestFaultOfASmarthostRoute: a route is suspended if none of its hosts works, and not
// for what hosts that work say about a message, a sender, or how busy they are.
func TestFaultOfASmarthostRoute(t *testing.T) {
	const none, busy, down, sender, route = queue.NoFault, queue.Throttled, queue.Unreachable, queue.SenderRefused, queue.RouteFault
	for _, row := range []struct {
		why   string
		hosts []queue.Fault
		want  queue.Fault
	}{
		{"one is down, and there is no other", []queue.Fault{down}, route},
		{"one is down, the other refuses the login", []queue.Fault{down, route}, route},
		{"one is down, the other is busy", []queue.Fault{down, busy}, busy},
		{"all are busy", []queue.Fault{busy, busy}, busy},
		{"one is down, the other refuses the message", []queue.Fault{down, none}, none},
		{"one refuses the login, the other the message", []queue.Fault{route, none}, none},
		{"one is down, the other refuses the sender", []queue.Fault{down, sender}, sender},
		{"one refuses the sender, the other the message", []queue.Fault{sender, none}, sender},
		{"both refuse the message", []queue.Fault{none, none}, none},
	} {
		var failures []failure
		for _, f := range row.hosts {
			failures = append(failures, failure{ruling: ruling{verdict: queue.Defer, fault: f}})
		}
		if got := routeFault(failures, worst(failures).ruling.fault); got != row.want {
			t.Errorf("%s: %q, want %q", row.why, faultNames[got], faultNames[row.want])
		}
	}
}
