package submission

import (
	"bytes"
	"encoding/binary"
)

// newlines looks at content for what must not leave here: CR or LF alone, which
// other servers may take for the end of a line, and of the data behind it; and
// NUL. It also notes whether there are 8-bit octets.
type newlines struct {
	cr       bool // the last octet seen was a CR
	nul      bool
	eightBit bool
	buf      []byte // of clean
}

// bare reports whether p, which follows what was seen before, holds a CR or LF
// alone. A CR at the very end may still become one; see end.
func (n *newlines) bare(p []byte) (found bool) {
	if len(p) == 0 {
		return false
	}
	n.nul = n.nul || bytes.IndexByte(p, 0) >= 0
	n.eightBit = n.eightBit || hasEightBit(p)
	pairs := 0
	if n.cr {
		if p[0] != '\n' {
			found = true
		} else {
			pairs++
		}
		n.cr = false
	}
	for rest := p; ; {
		i := bytes.IndexByte(rest, '\r')
		if i < 0 {
			break
		}
		if i+1 == len(rest) {
			n.cr = true
			break
		}
		if rest[i+1] == '\n' {
			pairs++
		} else {
			found = true
		}
		rest = rest[i+1:]
	}
	return found || bytes.Count(p, lf) != pairs
}

// clean returns p with each CR and LF that stands alone made CR LF. It holds
// back a CR at the end until it is known what follows. The result is valid until
// the next call.
func (n *newlines) clean(p []byte, heldCR bool) []byte {
	b := n.buf[:0]
	cr := heldCR
	for _, c := range p {
		switch {
		case c == '\n':
			b = append(b, '\r', '\n')
			cr = false
			continue
		case cr:
			b = append(b, '\r', '\n')
		}
		if cr = c == '\r'; !cr {
			b = append(b, c)
		}
	}
	n.buf = b
	return b
}

// end reports whether the content ends in a CR.
func (n *newlines) end() bool { return n.cr }

var lf = []byte{'\n'}

// hasEightBit reports whether an octet of p is above 127.
func hasEightBit(p []byte) bool {
	const high = 0x8080808080808080
	for ; len(p) >= 8; p = p[8:] {
		if binary.NativeEndian.Uint64(p)&high != 0 {
			return true
		}
	}
	for _, c := range p {
		if c >= 0x80 {
			return true
		}
	}
	return false
}
