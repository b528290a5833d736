package submission

import (
	"bufio"
	"net/textproto"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail"
)

// TestRepliesAreWellFormed: whatever a policy says, it is one line a client can
// read, and never a second reply.
func TestRepliesAreWellFormed(t *testing.T) {
	for _, row := range []struct{ why, text, want string }{
		{"plain", "no", "550 5.7.1 no"},
		{"a line break", "no\r\n250 yes", "550 5.7.1 no  250 yes"},
		{"a control character", "no\x1b[2J", "550 5.7.1 no [2J"},
		{"too long for a line", strings.Repeat("é", 400), "550 5.7.1 " + strings.Repeat("é", 240) + "..."},
	} {
		s := &session{}
		err := mail.Errorf(550, mail.EnhancedCode{5, 7, 1}, "%s", row.text)
		got := string(appendReply(nil, s.replyOf(err, errNotNow.Reply)))
		if got != row.want+"\r\n" {
			t.Errorf("%s: got %q", row.why, got)
		}
	}
	s := &session{}
	for _, code := range []int{0, 250, 354, 999} {
		if r := s.replyOf(mail.Errorf(code, mail.EnhancedCode{}, "odd"), errNotNow.Reply); r.Code != 451 {
			t.Errorf("an error with code %d is answered %v", code, r)
		}
	}
	want := "214-2.0.0 a\r\n214-2.0.0 b\r\n214 2.0.0 c\r\n"
	if got := string(appendReply(nil, reply(214, mail.EnhancedCode{2, 0, 0}, "a\nb\nc"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLongChallenges: the engine writes a line in several pieces if it is longer than
// its buffer, and it stays one line.
func TestLongChallenges(t *testing.T) {
	for _, octets := range []int{5, 4093, 4094, 4095, 4096, 4097, 8000} {
		s := dripping(nil, 1)
		defer s.in.release()
		s.opened = true
		s.out.expect(answerNothing) // to what comes behind
		engine := textproto.NewWriter(bufio.NewWriter(&guard{s}))
		want := "334 " + strings.Repeat("x", octets-4)
		_ = engine.PrintfLine("%s", want)
		_ = engine.PrintfLine("235 2.0.0 Authentication succeeded")
		if got := string(s.out.buf); got != want+"\r\n" {
			t.Errorf("%d octets: got %d, ending in %q", octets, len(got), got[max(len(got)-8, 0):])
		}
	}
}
