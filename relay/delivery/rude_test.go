package delivery

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
)

// rude is a host that goes by a script of its own: each line of a client is
// answered by what answer returns for its first word. It ends a session when that
// says so.
func rude(t *testing.T, keywords string, answer func(verb string, in *bufio.Reader) (say string, end bool)) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(c)
			io.WriteString(c, "220 rude.test\r\n")
			for end := false; !end; {
				line, err := in.ReadString('\n')
				if err != nil {
					break
				}
				verb, _, _ := strings.Cut(strings.TrimSpace(line), " ")
				say := "250 ok\r\n"
				switch {
				case verb == "EHLO":
					say = "250-rude.test" + strings.ReplaceAll(" "+keywords, " ", "\r\n250-") + "\r\n250 X\r\n"
				default:
					var own string
					if own, end = answer(verb, in); own != "" {
						say = own
					}
				}
				if say != " " {
					io.WriteString(c, say)
				}
			}
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// TestRefusedInTheMiddle: a host that has enough in the middle of the content says
// why and hangs up, without reading the rest. What it said counts, and is not taken
// for doubt.
func TestRefusedInTheMiddle(t *testing.T) {
	large := "Subject: large\r\n\r\n" + strings.Repeat(strings.Repeat("x", 98)+"\r\n", 300_000)
	for keywords, at := range map[string]string{"": "DATA", "PIPELINING": "DATA", "CHUNKING": "BDAT", "PIPELINING CHUNKING": "BDAT"} {
		for reply, want := range map[string]queue.Verdict{
			"552 5.3.4 too large": queue.Bounce, "554 5.7.1 spam": queue.Bounce, "452 4.3.1 disk full": queue.Defer, "421 4.3.2 closing": queue.Defer,
		} {
			t.Run(keywords+"/"+reply, func(t *testing.T) {
				content := false
				addr := rude(t, keywords, func(verb string, in *bufio.Reader) (string, bool) {
					switch {
					case content || verb == at && at == "BDAT":
						io.CopyN(io.Discard, in, 200_000)
						return reply + "\r\n", true
					case verb == "DATA":
						content = true
						return "354 go on\r\n", false
					}
					return "", false
				})
				o := send(t, mx(hop("mx.example.net", addr)), message(large, "1@example.net", "2@example.net"))
				for _, r := range o.Results {
					if r.Verdict != want || r.Reply.String() != reply {
						t.Errorf("result: %+v", r)
					}
				}
				if o.InDoubt != "" {
					t.Errorf("in doubt at %s", o.InDoubt)
				}
			})
		}
	}
}

// TestSurplusInAnEagerFlight: where content leaves with the commands before it, a
// reply too many is not taken for the one to the content.
func TestSurplusInAnEagerFlight(t *testing.T) {
	const taken, deferred = queue.Success, queue.Defer
	surplus, usual := smtptest.Action{Reply: "250 ok\n250 ok"}, smtptest.Action{}
	refused := smtptest.Action{Reply: "550 no"}
	for why, row := range map[string]struct {
		on   on
		want queue.Verdict // for both recipients of the second message
	}{
		"all is well":                 {on{smtptest.Rcpt: smtptest.InTurn(usual, surplus)}, taken},
		"the content was refused":     {on{smtptest.Rcpt: smtptest.InTurn(usual, surplus), smtptest.Content: smtptest.InTurn(usual, refused)}, deferred},
		"one of them was refused":     {on{smtptest.Rcpt: smtptest.InTurn(usual, surplus, refused)}, deferred},
		"surplus before the first":    {on{smtptest.Mail: smtptest.InTurn(usual, surplus), smtptest.Rcpt: smtptest.InTurn(usual, usual, refused)}, deferred},
		"the host is talkative after": {on{smtptest.Content: smtptest.InTurn(usual, surplus)}, taken},
	} {
		t.Run(why, func(t *testing.T) {
			p := peer(t, row.on, modern...)
			r := mx(hop("mx.example.net", p.Addr()))
			c := courier(t, r, Timeouts{})
			if o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net"))); o.Results[0].Verdict != taken {
				t.Fatalf("first: %+v", o)
			}
			o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net", "2@example.net")))
			if got := verdicts(o); !slices.Equal(got, []queue.Verdict{row.want, row.want}) {
				t.Errorf("verdicts %v, want %v: %+v", got, row.want, o)
			}
			if doubt := o.InDoubt != ""; doubt != (row.want == deferred) {
				t.Errorf("in doubt: %q", o.InDoubt)
			}
			if n := p.Steps(smtptest.Connect); n != 1 {
				t.Errorf("%d sessions before the third message", n)
			}
			c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
			if n := p.Steps(smtptest.Connect); n != 2 {
				t.Errorf("%d sessions: the one that is out of step was used again", n)
			}
		})
	}
}

// TestGarbageAfterSTARTTLS: a host that agrees to TLS and goes on in clear gets no
// mail where TLS is required, and gets it in clear where that is allowed.
func TestGarbageAfterSTARTTLS(t *testing.T) {
	for policy, want := range map[config.RouteTLS]queue.Verdict{
		config.RouteTLSOpportunistic: queue.Success, config.RouteTLSRequire: queue.Defer, config.RouteTLSVerify: queue.Defer,
	} {
		t.Run(string(policy), func(t *testing.T) {
			addr := rude(t, "STARTTLS", func(verb string, in *bufio.Reader) (string, bool) {
				switch verb {
				case "STARTTLS":
					return "220 go\r\n", false
				case "DATA":
					return "354 go on\r\n", false
				case "MAIL", "RCPT", ".", "QUIT":
					return "", verb == "QUIT"
				}
				if strings.HasPrefix(verb, "\x16") {
					return "500 5.5.1 what is this\r\n", true
				}
				return " ", false // a line of the content
			})
			r := mx(hop("mx.example.net", addr))
			r.route.TLS = policy
			o := send(t, r, message(hello, "1@example.net"))
			if o.Results[0].Verdict != want {
				t.Errorf("outcome: %+v", o)
			}
			if want == queue.Defer && o.Fault != queue.Unreachable {
				t.Errorf("fault: %+v", o)
			}
		})
	}
}

// TestCodesAlone: replies without any text are replies.
func TestCodesAlone(t *testing.T) {
	in := false
	addr := rude(t, "", func(verb string, _ *bufio.Reader) (string, bool) {
		switch {
		case verb == ".":
			in = false
			return "250\r\n", false
		case in:
			return " ", false
		case verb == "DATA":
			in = true
			return "354\r\n", false
		}
		return "250\r\n", verb == "QUIT"
	})
	if o := send(t, mx(hop("mx.example.net", addr)), message(hello, "1@example.net")); o.Results[0].Verdict != queue.Success {
		t.Errorf("outcome: %+v", o)
	}
}
