package load

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// numberField is the header field that carries a message's number through the
// relay to the sink.
const numberField = "X-Bench-Number: "

// filler is a body of lines of 78 characters, as long as the largest message.
type filler []byte

func newFiller(size int) filler {
	line := append(bytes.Repeat([]byte{'X'}, 78), "\r\n"...)
	return bytes.Repeat(line, size/len(line)+1)
}

// appendMessage appends a message with size octets of body to b, ready to be
// sent by DATA: dots need no stuffing, and the end mark follows.
func (f filler) appendMessage(b []byte, number, size int, from, to string) []byte {
	now := time.Now()
	b = fmt.Appendf(b, "From: <%s>\r\nTo: <%s>\r\nDate: %s\r\nMessage-ID: <%d.%d@bench.example>\r\nSubject: bench\r\n"+
		numberField+"%d\r\n\r\n", from, to, now.Format(time.RFC1123Z), now.UnixNano(), number, number)
	b = append(b, f[:size]...)
	if !bytes.HasSuffix(b, []byte("\r\n")) {
		b = append(b, "\r\n"...)
	}
	return append(b, ".\r\n"...)
}

// messageNumber reads the number from a header line.
func messageNumber(line []byte) (int, bool) {
	digits, found := bytes.CutPrefix(line, []byte(numberField))
	if !found {
		return 0, false
	}
	n, err := strconv.Atoi(string(bytes.TrimSpace(digits)))
	return n, err == nil
}
