package mail

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestReplyClasses(t *testing.T) {
	for _, row := range []struct {
		reason              string
		code                int
		positive, permanent bool
	}{
		{"no reply: unknown is temporary", 0, false, false},
		{"done", 250, true, false},
		{"go on is not done", 354, false, false},
		{"not now", 421, false, false},
		{"never", 550, false, true},
		{"no SMTP code", 600, false, false},
		{"nor this", 199, false, false},
	} {
		r := Reply{Code: row.code}
		if r.Positive() != row.positive || r.Permanent() != row.permanent {
			t.Errorf("%s: %d is positive %v, permanent %v", row.reason, row.code, r.Positive(), r.Permanent())
		}
	}
}

func TestErrorTells(t *testing.T) {
	refused := Errorf(550, EnhancedCode{5, 1, 1}, "no user %q", "x")
	for _, row := range []struct {
		reason string
		err    error
		want   string
	}{
		{"ours", refused, `550 5.1.1 no user "x"`},
		{"two lines", &Error{Reply: Reply{Code: 451, Text: "busy\nvery"}}, "451 busy very"},
		{"none", &Error{Cause: io.EOF}, "no reply: EOF"},
		{"with a cause", refused.Because(io.EOF), `550 5.1.1 no user "x": EOF`},
		{"the original has none still", refused, `550 5.1.1 no user "x"`},
		{"no text", &Error{Reply: Reply{Code: 250}}, "250"},
	} {
		if got := row.err.Error(); got != row.want {
			t.Errorf("%s: got %s, want %s", row.reason, got, row.want)
		}
	}
	if !errors.Is(refused.Because(io.EOF), io.EOF) {
		t.Error("the cause is lost")
	}
	fallback := Reply{Code: 451}
	if r := ReplyOf(fmt.Errorf("wrapped: %w", refused), fallback); r != refused.Reply {
		t.Errorf("wrapped: %v", r)
	}
	if r := ReplyOf(io.EOF, fallback); r != fallback {
		t.Errorf("no reply inside: %v", r)
	}
}

func TestNotify(t *testing.T) {
	for _, row := range []struct {
		reason                   string
		set                      Notify
		success, failure, delays bool
	}{
		{"silence (RFC 3461 4.1)", 0, false, true, true},
		{"never", NotifyNever, false, false, false},
		{"success alone", NotifySuccess, true, false, false},
		{"failure alone", NotifyFailure, false, true, false},
		{"all", NotifySuccess | NotifyFailure | NotifyDelay, true, true, true},
	} {
		if row.set.Has(NotifySuccess) != row.success || row.set.Has(NotifyFailure) != row.failure || row.set.Has(NotifyDelay) != row.delays {
			t.Errorf("%s: wrong", row.reason)
		}
	}
}
