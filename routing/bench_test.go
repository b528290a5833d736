package routing

import (
	"fmt"
	"testing"

	"github.com/postrider/postrider/internal/dnstest"
	"github.com/postrider/postrider/internal/mail"
)

// BenchmarkPlan is what an attempt pays for its plan when DNS has nothing new to
// say.
func BenchmarkPlan(b *testing.B) {
	zone := dnstest.Zone{"example.test": {}}
	for i := range 5 {
		host := fmt.Sprintf("mx%d.test", i)
		zone["example.test"] = append(zone["example.test"], fmt.Sprintf("MX %d %s", 10*(i/2), host))
		zone[host] = []string{fmt.Sprintf("A 192.0.2.%d", i+1), fmt.Sprintf("AAAA 2001:db8::%d", i+1)}
	}
	zone["one.test"] = []string{"MX 10 mx0.test"}
	r := newTestRouter(b, dnstest.Start(b, zone), nil)
	run := func(name string, route *Route, domain mail.Domain) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Plan(b.Context(), route, domain); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("five_mx", mxRoute(b), mustDomain("example.test"))
	run("one_mx", mxRoute(b), mustDomain("one.test"))
	run("smarthost_name", smarthostRoute(smarthosts("mx0.test:25")...), mail.Domain{})
	run("smarthost_address", smarthostRoute(smarthosts("192.0.2.1:25")...), mail.Domain{})
}
