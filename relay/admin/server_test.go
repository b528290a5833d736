package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

var quiet = slog.New(slog.DiscardHandler)

// listen starts a server on loopback; the test's end stops it.
func listen(t *testing.T, h Health, m *Metrics) (url string) {
	t.Helper()
	s, err := Listen(t.Context(), config.Admin{Address: "127.0.0.1:0"}, h, m, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := s.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return "http://" + s.Addr().String()
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestProbes(t *testing.T) {
	var fault atomic.Pointer[error]
	url := listen(t, Health{Ready: func() error {
		if p := fault.Load(); p != nil {
			return *p
		}
		return nil
	}}, NewMetrics(Build{}, Source{}))
	for _, path := range []string{"/livez", "/readyz"} {
		if code, body := get(t, url+path); code != 200 || body != "ok\n" {
			t.Errorf("%s of a healthy relay: %d %q", path, code, body)
		}
	}
	full := errors.New("the disk is full")
	fault.Store(&full)
	if code, body := get(t, url+"/readyz"); code != 503 || body != "the disk is full\n" {
		t.Errorf("/readyz on a full disk: %d %q", code, body)
	}
	if code, _ := get(t, url+"/livez"); code != 200 {
		t.Errorf("/livez on a full disk: %d; a restart would not help", code)
	}
	for _, path := range []string{"/", "/queue", "/debug/pprof/"} {
		if code, _ := get(t, url+path); code != 404 {
			t.Errorf("%s: %d, but it tells nothing else", path, code)
		}
	}
	resp, err := http.Post(url+"/livez", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /livez: %d", resp.StatusCode)
	}
}

// A client that connects and says nothing must not keep Stop waiting.
func TestStopIsBounded(t *testing.T) {
	s, err := Listen(t.Context(), config.Admin{Address: "127.0.0.1:0"}, Health{}, NewMetrics(Build{}, Source{}), quiet)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /livez HTTP/1.1\r\n")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_ = s.Stop(ctx)
	if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
		t.Error("it still listens")
	}
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(t.Context(), config.Admin{Address: l.Addr().String()}, Health{}, NewMetrics(Build{}, Source{}), quiet); err == nil || !strings.Contains(err.Error(), "admin.address") {
		t.Errorf("an address in use: %v", err)
	}
}

// promised are the metrics users were promised, with their labels.
var promised = map[string][]string{
	"postrider_smtp_sessions_total":                  nil,
	"postrider_auth_attempts_total":                  {"mechanism", "result"},
	"postrider_messages_accepted_total":              nil,
	"postrider_messages_rejected_total":              {"class"},
	"postrider_smtp_sessions_refused_total":          nil,
	"postrider_delivery_attempts_total":              {"route", "result"},
	"postrider_delivery_latency_seconds":             nil,
	"postrider_delivery_phase_seconds":               {"phase"},
	"postrider_queue_messages":                       {"state"},
	"postrider_queue_oldest_age_seconds":             nil,
	"postrider_queue_bytes":                          nil,
	"postrider_queue_commit_seconds":                 nil,
	"postrider_route_suspended":                      {"route"},
	"postrider_senders_refused":                      {"route"},
	"postrider_bounces_total":                        nil,
	"postrider_expired_total":                        nil,
	"postrider_dead_letters_total":                   nil,
	"postrider_deliveries_in_doubt_total":            nil,
	"postrider_dns_seconds":                          nil,
	"postrider_tls_handshakes_total":                 {"side", "result"},
	"postrider_certificate_expiry_timestamp_seconds": nil,
	"postrider_config_last_reload_successful":        nil,
	"postrider_build_info":                           {"version", "commit", "go_version"},
}

// busy returns metrics to which something of everything has happened.
func busy(t *testing.T) *Metrics {
	t.Helper()
	m := NewMetrics(Build{Version: "1.2.3", Commit: "abc"}, Source{
		Queue: func() QueueGauges {
			return QueueGauges{Deliveries: map[string]int64{"deferred": 7}, Oldest: time.Now().Add(-time.Hour), Bytes: 4096}
		},
		Routes: func() map[string]RouteGauges {
			return map[string]RouteGauges{"mx": {}, "provider": {Suspended: true, Refused: 2}}
		},
		CertificateExpiry: func() time.Time { return time.Unix(1800000000, 0) },
	})
	to := []mail.Address{mail.MustParseAddress("secret-person@example.net"), mail.MustParseAddress("b@example.net")}
	for _, e := range []mail.Event{
		{Kind: mail.EventConnect},
		{Kind: mail.EventAuth, Mechanism: "PLAIN", Reply: mail.Reply{Code: 235}},
		{Kind: mail.EventAuth, Mechanism: "secret-mechanism", Reply: mail.Reply{Code: 535}},
		{Kind: mail.EventAuth, Mechanism: "PLAIN", Reply: mail.Reply{Code: 454}},
		{Kind: mail.EventAccepted, To: to},
		{Kind: mail.EventRejected, Reply: mail.Reply{Code: 550}},
		{Kind: mail.EventRejected, Reply: mail.Reply{Code: 452}},
		{Kind: mail.EventRejected, Reply: mail.Reply{Code: 421}}, // a client
		{Kind: mail.EventRejected, Reply: mail.Reply{Code: 421}, From: &mail.Path{}},
		{Kind: mail.EventDelivered, Result: true, Route: "mx", To: to[:1], Delay: time.Second, Host: "secret-host",
			Phases: []mail.Phase{{Name: "dns", Took: time.Millisecond}, {Name: "secret-phase", Took: time.Second}}},
		{Kind: mail.EventDeferred, Result: true, Route: "provider", To: to[:1]},
		{Kind: mail.EventBounced, Route: "mx", To: to},
		{Kind: mail.EventExpired, To: to},
		{Kind: mail.EventDead},
		{Kind: mail.EventHeld},
	} {
		m.Record(e)
	}
	m.Committed(time.Millisecond)
	m.Asked(time.Millisecond)
	m.InDoubt()
	m.Handshake("server", nil)
	m.Handshake("client", errors.New("no"))
	return m
}

func TestMetricsArePromisedOnes(t *testing.T) {
	_, text := get(t, listen(t, Health{}, busy(t))+"/metrics")
	seen := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^(postrider_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? \S+$`).FindAllStringSubmatch(text, -1) {
		labels, ok := promised[m[1]]
		if !ok {
			t.Errorf("%s is not among the promised metrics", m[1])
			continue
		}
		seen[m[1]] = true
		for _, l := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(m[2], -1) {
			if l[1] != "le" && !slices.Contains(labels, l[1]) {
				t.Errorf("%s has the label %s", m[1], l[1])
			}
		}
	}
	manual, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, labels := range promised {
		if !seen[name] {
			t.Errorf("%s is missing", name)
		}
		row := strings.TrimPrefix(name, "postrider_")
		if len(labels) > 0 {
			row += "{" + strings.Join(labels, ",") + "}"
		}
		if !strings.Contains(string(manual), "`"+row+"`") {
			t.Errorf("docs/operating.md does not tell of %s", row)
		}
	}
	if odd := regexp.MustCompile(`postrider_\w+_bucket\{.*le="\d*\.\d{6,}"`).FindString(text); odd != "" {
		t.Errorf("a bound nobody would write: %s", odd)
	}
	if strings.Contains(text, "secret-") {
		t.Error("a label holds what a peer chose")
	}
	for _, line := range []string{
		`postrider_auth_attempts_total{mechanism="PLAIN",result="ok"} 1`,
		`postrider_auth_attempts_total{mechanism="other",result="refused"} 1`,
		`postrider_auth_attempts_total{mechanism="PLAIN",result="unavailable"} 1`,
		`postrider_messages_rejected_total{class="4xx"} 2`,
		`postrider_smtp_sessions_refused_total 1`,
		`postrider_messages_rejected_total{class="5xx"} 1`,
		`postrider_delivery_attempts_total{result="delivered",route="mx"} 1`,
		`postrider_delivery_attempts_total{result="deferred",route="provider"} 1`,
		`postrider_delivery_phase_seconds_count{phase="other"} 1`,
		`postrider_bounces_total 2`,
		`postrider_expired_total 2`,
		`postrider_queue_messages{state="deferred"} 7`,
		`postrider_queue_messages{state="held"} 0`,
		`postrider_queue_bytes 4096`,
		`postrider_route_suspended{route="mx"} 0`,
		`postrider_route_suspended{route="provider"} 1`,
		`postrider_senders_refused{route="provider"} 2`,
		`postrider_certificate_expiry_timestamp_seconds 1.8e+09`,
		`postrider_config_last_reload_successful 1`,
		`postrider_tls_handshakes_total{result="failed",side="client"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(text, `result="bounced"`) {
		t.Error("an attempt that delivered to one and bounced another counts twice")
	}
	if !strings.Contains(text, "go_goroutines") || !strings.Contains(text, "process_resident_memory_bytes") {
		t.Error("nothing about the process")
	}
}

func TestRefusedReloadShows(t *testing.T) {
	m := NewMetrics(Build{}, Source{})
	url := listen(t, Health{}, m)
	const name = "postrider_config_last_reload_successful "
	m.Reloaded(errors.New("bad"))
	if _, text := get(t, url+"/metrics"); !strings.Contains(text, name+"0\n") {
		t.Error("a refused reload does not show")
	}
	m.Reloaded(nil)
	if _, text := get(t, url+"/metrics"); !strings.Contains(text, name+"1\n") {
		t.Error("a reload that was taken does not show")
	}
}

func TestProfiles(t *testing.T) {
	for _, on := range []bool{false, true} {
		s, err := Listen(t.Context(), config.Admin{Address: "127.0.0.1:0", Pprof: on}, Health{}, NewMetrics(Build{}, Source{}), quiet)
		if err != nil {
			t.Fatal(err)
		}
		url := "http://" + s.Addr().String() + "/debug/pprof/"
		for _, path := range []string{"", "heap?debug=1", "goroutine?debug=1", "block?debug=1", "mutex?debug=1", "allocs?debug=1"} {
			code, body := get(t, url+path)
			if on != (code == http.StatusOK) || !on && code != http.StatusNotFound {
				t.Errorf("pprof %v: /%s: %d %.80s", on, path, code, body)
			}
		}
		http.DefaultClient.CloseIdleConnections()
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
}
