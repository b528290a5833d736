package system

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestZoneKnowsEveryDestination(t *testing.T) {
	zone, err := ServeZone()
	if err != nil {
		t.Fatal(err)
	}
	defer zone.Close()
	first, _ := Destination(0)
	last, address := Destination(Destinations - 1)
	tests := []struct {
		reason, name string
		kind         uint16
		network      string
		rcode        int
		answer       string
	}{
		{"a destination is its own exchanger", first, dns.TypeMX, "udp", dns.RcodeSuccess, "10 d0-1.bench.example."},
		{"its address is on loopback", last, dns.TypeA, "udp", dns.RcodeSuccess, address.String()},
		{"names are compared without case", strings.ToUpper(last), dns.TypeA, "udp", dns.RcodeSuccess, address.String()},
		{"TCP answers too", last, dns.TypeA, "tcp", dns.RcodeSuccess, address.String()},
		{"it has no AAAA, which is no error", first, dns.TypeAAAA, "udp", dns.RcodeSuccess, ""},
		{"other names don't exist", "_mta-sts." + first, dns.TypeTXT, "udp", dns.RcodeNameError, ""},
		{"an octet has an end", "d0-256.bench.example", dns.TypeA, "udp", dns.RcodeNameError, ""},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			query := new(dns.Msg).SetQuestion(dns.Fqdn(tt.name), tt.kind)
			reply, _, err := (&dns.Client{Net: tt.network, Timeout: 5 * time.Second}).Exchange(query, zone.Address())
			if err != nil {
				t.Fatal(err)
			}
			var answer string
			for _, record := range reply.Answer {
				answer = strings.TrimPrefix(record.String(), record.Header().String())
			}
			if reply.Rcode != tt.rcode || !strings.EqualFold(answer, tt.answer) {
				t.Errorf("%s %q, want %s %q", dns.RcodeToString[reply.Rcode], answer, dns.RcodeToString[tt.rcode], tt.answer)
			}
		})
	}
}

func TestDestinationsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for i := range Destinations {
		domain, address := Destination(i)
		if seen[domain] || seen[address.String()] || !address.IsLoopback() {
			t.Fatalf("destination %d: %s %s", i, domain, address)
		}
		seen[domain], seen[address.String()] = true, true
	}
}

func TestTransportTableHoldsAllDestinations(t *testing.T) {
	table := transportTable(2525)
	if n := strings.Count(table, "\n"); n != Destinations {
		t.Errorf("%d lines", n)
	}
	if !strings.HasPrefix(table, "d0-1.bench.example smtp:[127.1.0.1]:2525\n") {
		t.Errorf("begins %.60q", table)
	}
}

func TestMasterCfLeavesTheChroot(t *testing.T) {
	got := chrootField.ReplaceAllString("smtp      inet  n       -       y       -       -       smtpd\n"+
		"tlsmgr    unix  -       -       y       1000?   1       tlsmgr\n", "${1}n${2}")
	want := "smtp      inet  n       -       n       -       -       smtpd\n" +
		"tlsmgr    unix  -       -       n       1000?   1       tlsmgr\n"
	if got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestSlowSyncsKeepsTheCommand(t *testing.T) {
	plain := exec.Command("postfix", "-c", "dir", "start-fg")
	if slowSyncs(plain, 0) != plain {
		t.Error("a fast disk needs no tracer")
	}
	slow := slowSyncs(plain, 5*time.Millisecond)
	if !slices.Contains(slow.Args, "inject=fsync,fdatasync:delay_exit=5000") {
		t.Errorf("no delay in %q", slow.Args)
	}
	if got := slow.Args[len(slow.Args)-4:]; got[0] != plain.Path || got[3] != "start-fg" {
		t.Errorf("runs %q", got)
	}
}
