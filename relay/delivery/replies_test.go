package delivery

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/smtptest"
	"github.com/postrider/postrider/queue"
)

// on is short for a script of replies.
type on = map[smtptest.Step]smtptest.Actor

var say = smtptest.Say

// shut closes the connection without a word.
var shut = smtptest.Do(smtptest.Action{Close: true})

// twice answers once more than it was asked.
var twice = say("250 ok\n250 ok")

// TestReplies has one row for each row of docs/replies.md and stage that can
// be seen from outside: what becomes of two recipients when the first of two hosts
// answers like that.
func TestReplies(t *testing.T) {
	const (
		ok, def, bou, aga = queue.Success, queue.Defer, queue.Bounce, queue.Again
	)
	second := func(reply string) smtptest.Actor { // to the second RCPT
		return func(c smtptest.Command) smtptest.Action {
			if c.Of == 2 {
				return smtptest.Action{Reply: reply}
			}
			return smtptest.Action{}
		}
	}
	for _, row := range []struct {
		name  string
		first on
		next  bool // the second host is tried
		want  []queue.Verdict
		alone []queue.Verdict // what becomes of them if there is no second host
		fault queue.Fault     // of the first host alone
	}{
		{"421_at_connect", on{smtptest.Connect: say("421 4.3.2 busy")}, true, []queue.Verdict{ok, ok}, []queue.Verdict{def, def}, queue.Throttled},
		{"450_at_connect", on{smtptest.Connect: say("450 busy")}, true, []queue.Verdict{ok, ok}, []queue.Verdict{def, def}, queue.Throttled},
		{"554_at_connect", on{smtptest.Connect: say("554 no service")}, true, []queue.Verdict{ok, ok}, []queue.Verdict{bou, bou}, queue.NoFault},
		{"521_at_connect", on{smtptest.Connect: say("521 no mail here")}, true, []queue.Verdict{ok, ok}, []queue.Verdict{bou, bou}, queue.NoFault},
		{"disconnect_at_connect", on{smtptest.Connect: shut}, true, []queue.Verdict{ok, ok}, []queue.Verdict{def, def}, queue.Unreachable},
		{"garbage_at_connect", on{smtptest.Connect: smtptest.Do(smtptest.Action{Raw: "HTTP/1.1 400 Bad Request\r\n"})}, true, []queue.Verdict{ok, ok}, []queue.Verdict{def, def}, queue.Unreachable},
		{"451_at_ehlo", on{smtptest.EHLO: say("451 4.3.0 no")}, true, []queue.Verdict{ok, ok}, []queue.Verdict{def, def}, queue.Throttled},
		{"550_at_ehlo", on{smtptest.EHLO: say("550 5.7.1 no")}, true, []queue.Verdict{ok, ok}, []queue.Verdict{bou, bou}, queue.NoFault},
		{"502_at_ehlo_means_helo", on{smtptest.EHLO: say("502 what")}, false, []queue.Verdict{ok, ok}, []queue.Verdict{ok, ok}, queue.NoFault},
		{"disconnect_at_ehlo", on{smtptest.EHLO: shut}, true, []queue.Verdict{ok, ok}, []queue.Verdict{def, def}, queue.Unreachable},

		{"421_at_mail", on{smtptest.Mail: say("421 4.3.2 closing")}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.Throttled},
		{"451_at_mail", on{smtptest.Mail: say("451 4.3.0 later")}, true, []queue.Verdict{ok, ok}, []queue.Verdict{def, def}, queue.Throttled},
		{"455_at_mail", on{smtptest.Mail: say("455 later")}, true, []queue.Verdict{ok, ok}, []queue.Verdict{def, def}, queue.Throttled},
		{"550_at_mail", on{smtptest.Mail: say("550 5.7.1 not you")}, false, []queue.Verdict{bou, bou}, []queue.Verdict{bou, bou}, queue.NoFault},
		{"552_at_mail", on{smtptest.Mail: say("552 5.3.4 too big")}, false, []queue.Verdict{bou, bou}, []queue.Verdict{bou, bou}, queue.NoFault},
		{"530_at_mail_of_an_mx", on{smtptest.Mail: say("530 5.7.0 login")}, false, []queue.Verdict{bou, bou}, []queue.Verdict{bou, bou}, queue.NoFault},
		{"disconnect_at_mail", on{smtptest.Mail: shut}, true, []queue.Verdict{ok, ok}, []queue.Verdict{def, def}, queue.Throttled},

		{"450_at_rcpt", on{smtptest.Rcpt: second("450 4.2.0 greylisted")}, false, []queue.Verdict{ok, def}, []queue.Verdict{ok, def}, queue.NoFault},
		{"452_at_later_rcpt", on{smtptest.Rcpt: second("452 4.5.3 too many")}, false, []queue.Verdict{ok, aga}, []queue.Verdict{ok, aga}, queue.NoFault},
		{"552_at_later_rcpt", on{smtptest.Rcpt: second("552 too many")}, false, []queue.Verdict{ok, aga}, []queue.Verdict{ok, aga}, queue.NoFault},
		{"452_at_first_rcpt", on{smtptest.Rcpt: smtptest.InTurn(smtptest.Action{Reply: "452 4.2.2 full"})}, false, []queue.Verdict{def, ok}, []queue.Verdict{def, ok}, queue.NoFault},
		{"552_at_first_rcpt", on{smtptest.Rcpt: smtptest.InTurn(smtptest.Action{Reply: "552 5.2.2 full"})}, false, []queue.Verdict{bou, ok}, []queue.Verdict{bou, ok}, queue.NoFault},
		{"550_at_rcpt", on{smtptest.Rcpt: second("550 5.1.1 nobody")}, false, []queue.Verdict{ok, bou}, []queue.Verdict{ok, bou}, queue.NoFault},
		{"551_at_rcpt", on{smtptest.Rcpt: second("551 5.1.6 try <x@y.example>")}, false, []queue.Verdict{ok, bou}, []queue.Verdict{ok, bou}, queue.NoFault},
		{"421_at_rcpt", on{smtptest.Rcpt: second("421 4.3.2 closing")}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.Throttled},
		{"550_at_every_rcpt", on{smtptest.Rcpt: say("550 5.1.1 nobody")}, false, []queue.Verdict{bou, bou}, []queue.Verdict{bou, bou}, queue.NoFault},
		{"354_though_nobody_is_accepted", on{smtptest.Rcpt: say("450 later"), smtptest.Data: say("354 go on")}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.NoFault},
		{"disconnect_at_rcpt", on{smtptest.Rcpt: shut}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.Throttled},

		{"surplus_at_mail", on{smtptest.Mail: twice}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.NoFault},
		{"surplus_at_rcpt", on{smtptest.Rcpt: twice}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.NoFault},
		{"surplus_at_data", on{smtptest.Data: say("354 go on\n250 ok")}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.NoFault},
		{"surplus_after_data", on{smtptest.Content: twice}, false, []queue.Verdict{ok, ok}, []queue.Verdict{ok, ok}, queue.NoFault},
		{"other_surplus_after_data", on{smtptest.Content: say("250 ok\n550 spam")}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.NoFault},

		{"250_at_data", on{smtptest.Data: say("250 ok")}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.NoFault},
		{"451_at_data", on{smtptest.Data: say("451 4.3.0 no")}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.NoFault},
		{"554_at_data", on{smtptest.Data: say("554 5.5.1 no")}, false, []queue.Verdict{bou, bou}, []queue.Verdict{bou, bou}, queue.NoFault},
		{"421_at_data", on{smtptest.Data: say("421 closing")}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.Throttled},
		{"disconnect_at_data", on{smtptest.Data: shut}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.NoFault},
		{"451_after_data", on{smtptest.Content: say("451 4.3.0 no")}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.NoFault},
		{"554_after_data", on{smtptest.Content: say("554 5.6.0 spam")}, false, []queue.Verdict{bou, bou}, []queue.Verdict{bou, bou}, queue.NoFault},
		{"552_after_data", on{smtptest.Content: say("552 5.3.4 too big")}, false, []queue.Verdict{bou, bou}, []queue.Verdict{bou, bou}, queue.NoFault},
		{"421_after_data", on{smtptest.Content: say("421 closing")}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.Throttled},
		{"disconnect_after_data", on{smtptest.Content: shut}, false, []queue.Verdict{def, def}, []queue.Verdict{def, def}, queue.NoFault},
	} {
		for kind, keywords := range allKinds {
			if strings.Contains(kind, "chunking") && row.first[smtptest.Data] != nil {
				continue // there is no DATA to answer
			}
			t.Run(row.name+"/"+kind, func(t *testing.T) {
				t.Run("alone", func(t *testing.T) {
					p := peer(t, row.first, keywords...)
					o := send(t, mx(hop("a.example.net", p.Addr())), message(hello, "1@example.net", "2@example.net"))
					if got := verdicts(o); !slices.Equal(got, row.alone) {
						t.Errorf("verdicts %v, want %v: %+v", got, row.alone, o)
					}
					if o.Fault != row.fault {
						t.Errorf("fault %q, want %q", faultNames[o.Fault], faultNames[row.fault])
					}
					if o.Event.Host != "a.example.net" || o.Event.Address != p.Addr() {
						t.Errorf("event is about %s %s", o.Event.Host, o.Event.Address)
					}
				})
				t.Run("of_two", func(t *testing.T) {
					p, q := peer(t, row.first, keywords...), peer(t, nil, keywords...)
					o := send(t, mx(hop("a.example.net", p.Addr()), hop("b.example.net", q.Addr())),
						message(hello, "1@example.net", "2@example.net"))
					if got := verdicts(o); !slices.Equal(got, row.want) {
						t.Errorf("verdicts %v, want %v: %+v", got, row.want, o)
					}
					if tried := q.Steps(smtptest.Connect) > 0; tried != row.next {
						t.Errorf("second host was tried: %v, want %v", tried, row.next)
					}
				})
			})
		}
	}
}

// TestPeerAgainst is that the next host is taken where the first does not exist.
func TestBrokenFirstChoice(t *testing.T) {
	p := peer(t, nil, modern...)
	r := mx(nobody("dead.example.net"), hop("alive.example.net", p.Addr()))
	o := send(t, r, message(hello, "1@example.net"))
	if !slices.Equal(verdicts(o), []queue.Verdict{queue.Success}) || o.Event.Host != "alive.example.net" {
		t.Errorf("outcome: %+v", o)
	}
	if up, told := r.reports["dead.example.net 127.0.0.1"]; up || !told {
		t.Errorf("router was not told of the dead host: %v", r.reports)
	}
	if !r.reports["alive.example.net 127.0.0.1"] {
		t.Errorf("router was not told of the host that works: %v", r.reports)
	}
}

func TestAllHostsUnreachable(t *testing.T) {
	o := send(t, mx(nobody("a.example.net"), nobody("b.example.net")), message(hello, "1@example.net"))
	if o.Results[0].Verdict != queue.Defer || o.Fault != queue.Unreachable || !strings.Contains(o.Results[0].Reason, "refused") {
		t.Errorf("outcome: %+v", o)
	}
	o = send(t, smarthost(config.Route{}, nobody("a.example.net"), nobody("b.example.net")), message(hello, "1@example.net"))
	if o.Results[0].Verdict != queue.Defer || o.Fault != queue.RouteFault || !strings.Contains(o.FaultReason, "refused") {
		t.Errorf("outcome of a smarthost: %+v", o)
	}
}

// TestRefusedForGoodByAll: a bounce needs every host to refuse; one that could not
// be asked might have taken it.
func TestRefusedForGoodByAll(t *testing.T) {
	p := peer(t, on{smtptest.Connect: say("554 no service")})
	o := send(t, mx(hop("a.example.net", p.Addr()), hop("b.example.net", p.Addr())), message(hello, "1@example.net"))
	if o.Results[0].Verdict != queue.Bounce || o.Results[0].Reply.Code != 554 {
		t.Errorf("refused by all: %+v", o)
	}
	o = send(t, mx(hop("a.example.net", p.Addr()), nobody("b.example.net")), message(hello, "1@example.net"))
	if o.Results[0].Verdict != queue.Defer {
		t.Errorf("refused by one, the other silent: %+v", o)
	}
}

// TestFiveHosts: no more than five hosts are asked in one attempt.
func TestFiveHosts(t *testing.T) {
	p := peer(t, on{smtptest.Connect: say("421 busy")})
	r := mx()
	for range 8 {
		r.hops = append(r.hops, hop("mx.example.net", p.Addr()))
	}
	send(t, r, message(hello, "1@example.net"))
	if n := p.Steps(smtptest.Connect); n != 5 {
		t.Errorf("%d hosts were asked, want 5", n)
	}
}

// TestMultilineRepliesAreKept: what a host says in several lines is one text, and
// the codes are not in it.
func TestRepliesAreKept(t *testing.T) {
	p := peer(t, on{smtptest.Rcpt: say("550-5.1.1 nobody\n550 5.1.1 of that name")}, "PIPELINING")
	o := send(t, mx(hop("a.example.net", p.Addr())), message(hello, "1@example.net"))
	r := o.Results[0]
	if r.Reply.String() != "550 5.1.1 nobody of that name" || r.Reply.Text != "nobody\nof that name" || r.Host != "a.example.net" {
		t.Errorf("result: %+v", r)
	}
}

// TestStalledReplies: a reply has to be complete in time, however busily its
// octets come.
func TestStalledReplies(t *testing.T) {
	slow := smtptest.Do(smtptest.Action{Trickle: 30 * time.Millisecond, Reply: "220 " + strings.Repeat("x", 1000)})
	for step, doubt := range map[smtptest.Step]bool{
		smtptest.Connect: false, smtptest.EHLO: false, smtptest.Mail: false, smtptest.Rcpt: false,
		smtptest.Data: false, smtptest.Content: true,
	} {
		for name, actor := range map[string]smtptest.Actor{"trickles": slow, "hangs": smtptest.Do(smtptest.Action{Hang: true})} {
			t.Run(string(step)+"_"+name, func(t *testing.T) {
				t.Parallel()
				p := peer(t, on{step: actor}, "PIPELINING")
				r := mx(hop("a.example.net", p.Addr()))
				c := courier(t, r, short)
				start := time.Now()
				o := c.Deliver(t.Context(), r.towards(message(hello, "1@example.net")))
				if o.Results[0].Verdict != queue.Defer || !strings.Contains(o.Results[0].Reason, "timeout") {
					t.Errorf("outcome: %+v", o)
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("took %v", took)
				}
				if (o.InDoubt != "") != doubt {
					t.Errorf("in doubt: %q", o.InDoubt)
				}
			})
		}
	}
}

// TestOversizedReplies: a reply without end is not swallowed.
func TestOversizedReplies(t *testing.T) {
	for name, raw := range map[string]string{
		"long_line":     "220 " + strings.Repeat("x", 1<<20) + "\r\n",
		"many_lines":    strings.Repeat("220-x\r\n", 1<<16) + "220 x\r\n",
		"no_line_end":   strings.Repeat("2", 1<<20),
		"changing_code": "220-x\r\n550 x\r\n",
		"not_smtp":      "\x16\x03\x01\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, step := range []smtptest.Step{smtptest.Connect, smtptest.Mail} {
				p := peer(t, on{step: smtptest.Do(smtptest.Action{Raw: raw})}, "PIPELINING")
				o := send(t, mx(hop("a.example.net", p.Addr())), message(hello, "1@example.net"))
				if o.Results[0].Verdict != queue.Defer || o.Results[0].Reason == "" || len(o.Results[0].Reason) > 200 {
					t.Errorf("%s: outcome: %+v", step, o)
				}
			}
		})
	}
}

// TestMalformedContentHidesNoRefusal: who was refused for a reason of their own is
// told that one, not the content's.
func TestMalformedContentHidesNoRefusal(t *testing.T) {
	p := peer(t, map[smtptest.Step]smtptest.Actor{smtptest.Rcpt: smtptest.ByPath(map[string]string{"1@example.net": "550 5.1.1 no such user"})})
	o := send(t, mx(hop("mx.example.net", p.Addr())), message("Subject: x\r\n\r\na\nb\r\n", "1@example.net", "2@example.net"))
	for i, want := range []string{"no such user", "bare CR or LF"} {
		if r := o.Results[i]; r.Verdict != queue.Bounce || !strings.Contains(r.Reply.Text, want) {
			t.Errorf("recipient %d: %+v, want %q", i+1, r, want)
		}
	}
}
