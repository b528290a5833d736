package delivery

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

var update = flag.Bool("update", false, "rewrite golden files")

var (
	verdictNames = map[queue.Verdict]string{
		queue.Defer: "defer", queue.Success: "accept", queue.Bounce: "bounce", queue.Again: "again", queue.Reroute: "reroute",
	}
	faultNames = map[queue.Fault]string{
		queue.NoFault: "", queue.Throttled: "throttled", queue.Unreachable: "unreachable", queue.RouteFault: "route fault",
		queue.SenderRefused: "sender refused",
	}
)

func (r ruling) String() string {
	words := []string{verdictNames[r.verdict]}
	if r.next {
		words = append(words, "after the next host")
	}
	if r.fault != queue.NoFault {
		words = append(words, faultNames[r.fault])
	}
	if r.over {
		words = append(words, "close")
	}
	return strings.Join(words, ", ")
}

// codes are all that RFC 5321 and its extensions name, and the classes around them.
var codes = []int{
	0, 211, 214, 220, 221, 235, 250, 251, 252, 334, 354, 421, 432, 450, 451, 452, 454, 455,
	500, 501, 502, 503, 504, 521, 523, 530, 534, 535, 538, 550, 551, 552, 553, 554, 555, 556,
}

// TestEveryCodeAtEveryStage shows the whole table; a change in it is to be seen in
// the golden file and compared with docs/replies.md.
func TestEveryCodeAtEveryStage(t *testing.T) {
	var b strings.Builder
	for _, who := range []struct {
		name string
		sit  situation
	}{
		{"MX host", situation{}},
		{"MX host, a recipient was accepted before", situation{accepted: 1}},
		{"smarthost", situation{smarthost: true}},
		{"smarthost, null reverse-path", situation{smarthost: true, nullSender: true}},
	} {
		fmt.Fprintf(&b, "# %s\n", who.name)
		for at := atConnect; at <= atData; at++ {
			for _, code := range codes {
				fmt.Fprintf(&b, "%-8s %03d  %s\n", at, code, classify(at, mail.Reply{Code: code}, who.sit))
			}
		}
	}
	const golden = "testdata/classify.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("classification has changed; see the difference with -update\n%s", b.String())
	}
}

func TestClassify(t *testing.T) {
	mxHost, second := situation{}, situation{accepted: 1}
	provider := situation{smarthost: true}
	enhanced := func(code, a, b, c int) mail.Reply {
		return mail.Reply{Code: code, Enhanced: mail.EnhancedCode{a, b, c}}
	}
	plain := func(code int) mail.Reply { return mail.Reply{Code: code} }
	for _, row := range []struct {
		why  string
		at   stage
		r    mail.Reply
		sit  situation
		want string
	}{
		{"the greeting of a full server", atConnect, plain(421), mxHost, "defer, after the next host, throttled, close"},
		{"a host without mail service", atConnect, plain(521), mxHost, "bounce, after the next host"},
		{"a host without mail service is a provider's trouble, not the mail's", atConnect, plain(554), provider, "defer, after the next host, route fault"},
		{"421 at MAIL ends it for this time", atMail, plain(421), mxHost, "defer, throttled, close"},
		{"a busy host at MAIL is passed by", atMail, plain(451), mxHost, "defer, after the next host, throttled"},
		{"no sender policy of an MX host is our fault", atMail, plain(550), mxHost, "bounce"},
		{"no login is expected of us by an MX host", atMail, plain(530), mxHost, "bounce"},
		{"a login expected by a provider", atMail, plain(530), provider, "defer, route fault"},
		{"a login expected by a provider, said late", atRcpt, plain(530), provider, "defer, route fault"},
		{"a sender a provider does not know", atMail, enhanced(553, 5, 7, 1), provider, "defer, sender refused"},
		{"the same, by servers that wait for RCPT", atRcpt, enhanced(553, 5, 7, 1), provider, "defer, sender refused"},
		{"a sender who was taken for another recipient is known", atRcpt, enhanced(553, 5, 7, 1), situation{smarthost: true, taken: true}, "bounce"},
		{"the same, in Exchange's words after the data", atData, enhanced(550, 5, 7, 60), provider, "defer, sender refused"},
		{"a provider's quota for the day", atData, enhanced(550, 5, 4, 5), provider, "defer, route fault"},
		{"a quota for now; another host may have more, and other senders too", atMail, enhanced(450, 4, 7, 1), provider, "defer, after the next host, sender refused"},
		{"a quota without enhanced code", atMail, plain(452), provider, "defer, after the next host, sender refused"},
		{"a quota in words alone", atMail, mail.Reply{Code: 451, Text: "Hourly sending Quota reached"}, provider, "defer, after the next host, sender refused"},
		{"a quota and no sender whose it could be", atMail, plain(452), situation{smarthost: true, nullSender: true}, "defer, after the next host, route fault"},
		{"a provider's full disk is no sender's quota", atMail, enhanced(452, 4, 3, 1), provider, "defer, after the next host, route fault"},
		{"a provider in trouble", atMail, enhanced(451, 4, 3, 0), provider, "defer, after the next host, throttled"},
		{"a login that can't be checked just now", atMail, enhanced(454, 4, 7, 0), provider, "defer, after the next host, route fault"},
		{"a quota of an MX host is that host's", atMail, enhanced(452, 4, 7, 1), mxHost, "defer, after the next host, throttled"},
		{"a provider's quota for now, after the data", atData, plain(454), provider, "defer, route fault"},
		{"a provider's full disk, seen after the data", atData, enhanced(452, 4, 3, 1), provider, "defer, route fault"},
		{"a full mailbox is no provider's quota", atData, enhanced(452, 4, 2, 2), provider, "defer"},
		{"what is wrong with one address is no provider's quota", atData, enhanced(454, 4, 1, 1), provider, "defer"},
		{"bounces held back by a provider hold up no other mail", atMail, enhanced(451, 4, 7, 1), situation{smarthost: true, nullSender: true}, "defer, after the next host"},
		{"a login that can't be checked just now, whoever sends", atMail, enhanced(454, 4, 7, 0), situation{smarthost: true, nullSender: true}, "defer, after the next host, route fault"},
		{"a host that hangs up at MAIL was well at EHLO: it may be this message", atMail, plain(0), provider, "defer, after the next host, throttled, close"},
		{"a provider's word about the recipient", atRcpt, enhanced(550, 5, 1, 1), provider, "bounce"},
		{"a provider's word about the content", atData, enhanced(554, 5, 7, 1), provider, "bounce"},
		{"a malformed sender is the message's fault", atMail, enhanced(553, 5, 1, 7), provider, "bounce"},
		{"too large for a provider", atMail, enhanced(552, 5, 3, 4), provider, "bounce"},
		{"a provider without bounces", atMail, plain(550), situation{smarthost: true, nullSender: true}, "bounce"},
		{"too many recipients", atRcpt, plain(452), second, "again"},
		{"too many recipients, in the words of RFC 821", atRcpt, plain(552), second, "again"},
		{"452 to the first recipient is no matter of number", atRcpt, plain(452), mxHost, "defer"},
		{"a full mailbox", atRcpt, plain(552), mxHost, "bounce"},
		{"a moved mailbox is not followed", atRcpt, plain(551), mxHost, "bounce"},
		{"forwarded", atRcpt, plain(251), mxHost, "accept"},
		{"not verified", atRcpt, plain(252), mxHost, "accept"},
		{"silence at RCPT", atRcpt, plain(0), mxHost, "defer, throttled, close"},
		{"silence after the data", atData, plain(0), mxHost, "defer, close"},
		{"a reply that makes no sense", atMail, plain(354), mxHost, "defer, after the next host, throttled, close"},
		{"an unknown 4yz", atRcpt, plain(499), mxHost, "defer"},
		{"an unknown 5yz", atRcpt, plain(599), mxHost, "bounce"},
	} {
		if got := classify(row.at, row.r, row.sit).String(); got != row.want {
			t.Errorf("%s (%s at %s): %s, want %s", row.why, row.r, row.at, got, row.want)
		}
	}
}
