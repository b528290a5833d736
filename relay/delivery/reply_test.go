package delivery

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// parse reads one reply of text, as a connection would.
func parse(text []byte) (mail.Reply, error) {
	var p replyParser
	r := bufio.NewReader(bytes.NewReader(text))
	for {
		line, err := r.ReadBytes('\n')
		if err != nil {
			return mail.Reply{}, err
		}
		last, err := p.line(bytes.TrimRight(line, "\r\n"))
		if err != nil || last {
			return p.reply(), err
		}
	}
}

func TestReplyParser(t *testing.T) {
	for _, row := range []struct {
		why, text string
		want      mail.Reply
		err       error
	}{
		{"usual", "250 2.1.0 Ok\r\n", mail.Reply{Code: 250, Enhanced: mail.EnhancedCode{2, 1, 0}, Text: "Ok"}, nil},
		{"no enhanced code", "250 Ok\r\n", mail.Reply{Code: 250, Text: "Ok"}, nil},
		{"nothing but a code", "250\r\n", mail.Reply{Code: 250}, nil},
		{"bare LF", "250 Ok\n", mail.Reply{Code: 250, Text: "Ok"}, nil},
		{"several lines", "550-5.7.1 a\r\n550-5.7.1 b\r\n550 5.7.1 c\r\n", mail.Reply{Code: 550, Enhanced: mail.EnhancedCode{5, 7, 1}, Text: "a\nb\nc"}, nil},
		{"empty lines within", "250-\r\n250 x\r\n", mail.Reply{Code: 250, Text: "\nx"}, nil},
		{"three digits", "550 5.7.350 x\r\n", mail.Reply{Code: 550, Enhanced: mail.EnhancedCode{5, 7, 350}, Text: "x"}, nil},
		{"an enhanced code that contradicts", "550 4.2.1 x\r\n", mail.Reply{Code: 550, Text: "4.2.1 x"}, nil},
		{"an address is no enhanced code", "550 5.7.1.2 x\r\n", mail.Reply{Code: 550, Text: "5.7.1.2 x"}, nil},
		{"control characters", "550 a\tb\x1b[31mc\x00\r\n", mail.Reply{Code: 550, Text: "a b [31mc "}, nil},
		{"broken UTF-8", "550 a\xffb ü\r\n", mail.Reply{Code: 550, Text: "a?b ü"}, nil},
		{"no code", "hello\r\n", mail.Reply{}, errReplyGarbage},
		{"codes that differ", "250-a\r\n550 b\r\n", mail.Reply{}, errReplyGarbage},
		{"beyond the codes of SMTP", "150 a\r\n", mail.Reply{}, errReplyGarbage},
		{"no separator", "2500\r\n", mail.Reply{}, errReplyGarbage},
		{"too many lines", strings.Repeat("250-a\r\n", 200), mail.Reply{}, errReplySize},
		{"too much in all", strings.Repeat("250-"+strings.Repeat("x", 1000)+"\r\n", 100), mail.Reply{}, errReplySize},
	} {
		got, err := parse([]byte(row.text))
		if err != row.err || err == nil && got != row.want {
			t.Errorf("%s: %+v, %v", row.why, got, err)
		}
	}
	long, err := parse([]byte(strings.Repeat("550-"+strings.Repeat("y", 500)+"\r\n", 20) + "550 end\r\n"))
	if err != nil || len(long.Text) > maxReplyText+40 {
		t.Errorf("%d octets of text are kept: %v", len(long.Text), err)
	}
}

// FuzzReply: whatever a host says, it is read within bounds, to the same end
// however it is cut into pieces.
func FuzzReply(f *testing.F) {
	for _, s := range []string{"250 ok\r\n", "250-a\r\n250 b\r\n", "5", "250-\n\n", "421 4.3.2 x\r\nrest", strings.Repeat("x", 5000)} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		whole, err := readFrom(text, len(text)+1)
		pieces, err2 := readFrom(text, max(1, cut&63))
		if whole != pieces || (err == nil) != (err2 == nil) {
			t.Errorf("%+v %v, in pieces %+v %v", whole, err, pieces, err2)
		}
		if err == nil && (whole.Code < 200 || whole.Code > 599 || len(whole.Text) > maxReplyText+maxReplyLines) {
			t.Errorf("%+v", whole)
		}
	})
}

func readFrom(text []byte, step int) (mail.Reply, error) {
	w := &wire{ctx: context.Background(), conn: &drip{text: text, step: step}}
	return w.reply(time.Minute)
}

// drip is a connection that gives text in steps.
type drip struct {
	net.Conn
	text []byte
	step int
}

func (d *drip) SetReadDeadline(time.Time) error { return nil }

func (d *drip) Read(p []byte) (int, error) {
	if len(d.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p, d.text[:min(d.step, len(d.text))])
	d.text = d.text[n:]
	return n, nil
}
