package routing

import (
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/dnstest"
	"github.com/postrider/postrider/internal/mail"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func mustDomain(s string) mail.Domain { return mail.MustParseDomain(s) }

// ports of test servers differ from run to run.
var ports = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// TestExplain keeps what people are told about each kind of domain, in one file.
func TestExplain(t *testing.T) {
	zone := rulesZone()
	zone["sh.example.net"] = []string{"60 CNAME shmail.example.net"}
	s := dnstest.Start(t, zone)
	s.Break("servfail.test", "MX", dnstest.ServFail)
	s.Break("sick.test", "*", dnstest.ServFail)
	r := newTestRouter(t, s, func(o *Options) { o.AddressLiterals = false })
	r.Report(&NextHop{Host: "shmail.example.net", Port: 25}, netip.MustParseAddr("192.0.2.5"), false)
	route := smarthostRoute(smarthosts("mx.test:587", "nosuch.test:25", "192.0.2.7:25")...)
	r.Report(&NextHop{Host: "mx.test", Port: 587}, netip.Addr{}, false)

	var b strings.Builder
	write := func(title string, plan *Plan, err error) {
		fmt.Fprintf(&b, "== %s\n", title)
		for _, step := range plan.Steps {
			fmt.Fprintf(&b, "%-28s %s", step.What, ports.ReplaceAllString(step.Result, "127.0.0.1:53"))
			if step.TTL > 0 {
				fmt.Fprintf(&b, " (TTL %s)", step.TTL.Round(time.Second*10))
			}
			b.WriteByte('\n')
		}
		if err != nil {
			fmt.Fprintf(&b, "-> %s\n", ports.ReplaceAllString(err.Error(), "127.0.0.1:53"))
		}
		for _, hop := range plan.Hops {
			fmt.Fprintf(&b, "-> %s:%d %s\n", hop.Host, hop.Port, join(hop.Addresses))
		}
		b.WriteByte('\n')
	}
	for _, domain := range []string{"sh.example.net", "implicit.test", "null.test", "nosuch.test", "servfail.test", "loop.test",
		"own.test", "mxliteral.test", "nullbeside.test", "onesick.test", "noaddress.test", "[192.0.2.1]"} {
		plan, err := r.Explain(t.Context(), mxRoute(t), mustDomain(domain))
		write(domain, plan, err)
	}
	plan, err := r.Explain(t.Context(), route, mail.Domain{})
	write("a smarthost route", plan, err)

	path := filepath.Join("testdata", "explain.txt")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s differs; it is now:\n%s", path, b.String())
	}
}

func TestPlansHaveNoSteps(t *testing.T) {
	r := newTestRouter(t, dnstest.Start(t, rulesZone()), nil)
	plan, err := r.Plan(t.Context(), mxRoute(t), mustDomain("sh.example.net"))
	if err != nil || len(plan.Steps) != 0 {
		t.Errorf("%+v, %v", plan, err)
	}
	if plan, err := r.Plan(t.Context(), mxRoute(t), mustDomain("null.test")); plan != nil || err == nil {
		t.Errorf("%+v, %v", plan, err)
	}
}
