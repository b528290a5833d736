package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
)

var home = netip.MustParseAddr("127.0.0.1")

// open starts a sink that is closed with the test.
func open(t *testing.T, s *Sink, addresses ...netip.Addr) string {
	t.Helper()
	if err := s.Listen(0, addresses...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return fmt.Sprintf("%s:%d", addresses[0], s.Port())
}

func job(address string, l *Ledger) Job {
	return Job{
		Address: address, Count: l.Len(), Connections: 4, Size: 10_000, From: "a@bench.example",
		To: func(int) []string { return []string{"b@dest.example"} }, Ledger: l,
	}
}

func every(int) bool { return true }

func TestInjectedMailArrivesOnceEach(t *testing.T) {
	tests := []struct {
		reason string
		change func(*Job)
	}{
		{"one message a connection", func(*Job) {}},
		{"many messages a connection", func(j *Job) { j.Reuse = true }},
		{"content of several writes", func(j *Job) { j.Size = 300_000 }},
		{"a body that ends within a line", func(j *Job) { j.Size = 79 }},
		{"more connections than messages", func(j *Job) { j.Connections = 100 }},
		{"at a steady rate", func(j *Job) { j.Rate = 2000 }},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			sink := &Sink{Ledger: NewLedger(40)}
			j := job(open(t, sink, home), sink.Ledger)
			tt.change(&j)
			got, err := Inject(t.Context(), j)
			if err != nil {
				t.Fatal(err)
			}
			if got.Accepted != 40 || len(got.Waits) != 40 || got.Rate() <= 0 {
				t.Errorf("accepted %d, %d waits", got.Accepted, len(got.Waits))
			}
			if sink.Ledger.Arrived() != 40 || sink.Ledger.Duplicates() != 0 || sink.Messages() != 40 {
				t.Errorf("arrived %d, %d more than once", sink.Ledger.Arrived(), sink.Ledger.Duplicates())
			}
			if d := sink.Ledger.Delays(every); len(d) != 40 || d[0] <= 0 {
				t.Errorf("delays %v", d)
			}
		})
	}
}

func TestInjectStopsAtARefusal(t *testing.T) {
	sink := &Sink{Ledger: NewLedger(40), Manner: func(netip.Addr) Manner { return Throttling }}
	j := job(open(t, sink, home), sink.Ledger)
	j.Reuse = true
	if _, err := Inject(t.Context(), j); err == nil || !strings.Contains(err.Error(), "451") {
		t.Errorf("error %v, want one that quotes the 451", err)
	}
}

func TestInjectEndsWithItsContext(t *testing.T) {
	sink := &Sink{Ledger: NewLedger(4), Manner: func(netip.Addr) Manner { return Silent }}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := Inject(ctx, job(open(t, sink, home), sink.Ledger)); err == nil {
		t.Error("a silent server accepted mail")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("gave up after %s", took)
	}
}

func TestLedgerCountsLossAndDuplicates(t *testing.T) {
	l := NewLedger(3)
	for i := range 3 {
		l.noteSent(i)
	}
	l.noteArrived(0)
	l.noteArrived(2)
	l.noteArrived(2)
	l.noteArrived(7)  // of another run
	l.noteArrived(-1) // without a number
	if l.Arrived() != 2 || l.Duplicates() != 1 {
		t.Errorf("arrived %d, duplicates %d", l.Arrived(), l.Duplicates())
	}
	odd := func(n int) bool { return n%2 == 1 }
	if n, _ := l.Span(odd); n != 0 || len(l.Delays(odd)) != 0 {
		t.Errorf("message 1 was lost, yet %d arrived", n)
	}
	if n, span := l.Span(every); n != 2 || span <= 0 {
		t.Errorf("%d arrived over %s", n, span)
	}
}

// talk sends lines to an address and returns everything that is answered.
func talk(t *testing.T, address, lines string) string {
	t.Helper()
	c, err := connect(t.Context(), address, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	c.conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.conn.Write([]byte(lines)); err != nil {
		t.Fatal(err)
	}
	var answers strings.Builder
	if _, err := c.r.WriteTo(&answers); err != nil {
		t.Fatal(err)
	}
	return answers.String()
}

func TestReceiverSpeaksSMTP(t *testing.T) {
	const header = "X-Bench-Number: 1\r\n\r\n"
	tests := []struct {
		reason         string
		manner         Manner
		lines, answers string
		arrived        int
		recipients     int
	}{
		{"a pipelined transaction", Healthy,
			"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n" + header + "..\r\n.\r\nQUIT\r\n",
			"250 250 250 354 250 221", 1, 2},
		{"chunks count octets, not lines", Healthy,
			"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nBDAT 21\r\n" + header + "BDAT 5 LAST\r\n\r\n.\r\nQUIT\r\n",
			"250 250 250 250 221", 1, 1},
		{"every second recipient of a throttling receiver", Throttling,
			"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f>\r\nDATA\r\n" + header + ".\r\nQUIT\r\n",
			"250 250 451 354 250 221", 1, 1},
		{"no recipient, no message", Throttling,
			"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nQUIT\r\n",
			"250 250 250 250 451 554 221", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			sink := &Sink{Ledger: NewLedger(2), Chunking: true, Manner: func(netip.Addr) Manner { return tt.manner }}
			var codes []string
			for line := range strings.Lines(talk(t, open(t, sink, home), tt.lines)) {
				codes = append(codes, line[:3])
			}
			if got := strings.Join(codes, " "); got != tt.answers {
				t.Errorf("answered %s, want %s", got, tt.answers)
			}
			if sink.Ledger.Arrived() != tt.arrived || sink.Recipients() != tt.recipients {
				t.Errorf("%d arrived for %d recipients", sink.Ledger.Arrived(), sink.Recipients())
			}
		})
	}
}

func TestThrottlingReceiverHangsUp(t *testing.T) {
	sink := &Sink{Manner: func(netip.Addr) Manner { return Throttling }}
	one := "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n"
	if got := talk(t, open(t, sink, home), one+one+one); !strings.HasSuffix(got, "come back later\r\n") || !strings.Contains(got, "\r\n421 ") {
		t.Errorf("the third transaction was answered %q", got)
	}
}

func TestSinkListensOnLoopbackOnly(t *testing.T) {
	if err := new(Sink).Listen(0, netip.MustParseAddr("0.0.0.0")); err == nil {
		t.Error("opened a port to the world")
	}
}

func TestSinkTellsAddressesApart(t *testing.T) {
	other := netip.MustParseAddr("127.1.0.9")
	sink := &Sink{Ledger: NewLedger(1), Manner: func(a netip.Addr) Manner {
		if a == other {
			return Healthy
		}
		return Silent
	}}
	open(t, sink, home, other)
	j := job(netip.AddrPortFrom(other, sink.Port()).String(), sink.Ledger)
	if _, err := Inject(t.Context(), j); err != nil || sink.Ledger.Arrived() != 1 {
		t.Errorf("the healthy address took %d: %v", sink.Ledger.Arrived(), err)
	}
}

func TestProxyTakesTime(t *testing.T) {
	const away = 20 * time.Millisecond
	sink := &Sink{Ledger: NewLedger(1)}
	proxy, err := NewProxy(open(t, sink, home), away)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Serve()
	defer proxy.Close()
	j := job(proxy.Address(), sink.Ledger)
	start := time.Now()
	if _, err := Inject(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	// The handshake and the greeting take two round trips, EHLO, MAIL, RCPT,
	// DATA, the content and QUIT one each.
	if took := time.Since(start); took < 8*away {
		t.Errorf("took %s, want at least %s", took, 8*away)
	}
	if sink.Ledger.Arrived() != 1 {
		t.Error("the message got lost on the way")
	}
}

func TestProxyClosesWhatIsOpen(t *testing.T) {
	sink := &Sink{Ledger: NewLedger(1), Manner: func(netip.Addr) Manner { return Silent }}
	proxy, err := NewProxy(open(t, sink, home), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	proxy.Serve()
	conn, err := net.Dial("tcp", proxy.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	proxy.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection outlived its proxy: %v", err)
	}
}

func TestLastCount(t *testing.T) {
	tests := []struct {
		reason, display string
		want            int
	}{
		{"nothing shown yet", "", 0},
		{"the last state counts", "sess=1 quit=0 mesg=1\rsess=1 quit=1 mesg=1\rsess=2 quit=1 mesg=12\r", 12},
		{"a state that is being written does not", "sess=2 quit=1 mesg=12\rsess=2 quit=2 mesg=1", 12},
		{"nor one without its beginning's end", "quit=1 mesg=7\rsess=2 qu", 7},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			if got := lastCount(tt.display); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
