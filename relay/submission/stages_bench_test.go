package submission

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/mail"
)

// BenchmarkHeader is the completion of a header as mail programs send it, with
// folded fields and with what has to be left out and put in.
func BenchmarkHeader(b *testing.B) {
	var text strings.Builder
	for i := range 20 {
		fmt.Fprintf(&text, "X-Field-%d: some value of the usual length\r\n\tfolded once\r\n", i)
	}
	text.WriteString("From: A <a@example.com>\r\nTo: b@example.net\r\nBcc: c@example.org\r\nSubject: x\r\n\r\n")
	header := []byte(text.String())
	s := dripping(nil, 0)
	defer s.in.release()
	b.ReportAllocs()
	b.SetBytes(int64(len(header)))
	for b.Loop() {
		s.tx = &transaction{incoming: nullIncoming{testID}, envelope: &mail.Envelope{Recipients: make([]mail.Recipient, 1)}}
		k := newIntake(s)
		k.write(header)
		if k.refused != nil || k.header != nil {
			b.Fatal("the header was not written: ", k.refused)
		}
		k.release()
	}
}

// BenchmarkGuard is a command on its way through the guarded connection, without
// system calls: taken from the buffer, checked, parsed, and given to the engine.
func BenchmarkGuard(b *testing.B) {
	s := dripping(nil, 0)
	defer s.in.release()
	line := []byte("NOOP\r\n")
	b.ReportAllocs()
	for b.Loop() {
		s.in.r, s.in.w, s.waste = 0, copy(s.in.array[:], line), 0
		text, err := s.line()
		if err != nil {
			b.Fatal(err)
		}
		s.command(text)
		s.out.buf = s.out.buf[:0]
	}
}
