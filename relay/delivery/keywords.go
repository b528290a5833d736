package delivery

import (
	"slices"
	"strconv"
	"strings"
)

// keywords are the extensions a host offers in its answer to EHLO. The zero
// value is a host that knows only HELO.
type keywords struct {
	pipelining bool // RFC 2920
	chunking   bool // RFC 3030
	binaryMIME bool // RFC 3030
	eightBit   bool // RFC 6152
	utf8       bool // RFC 6531
	dsn        bool // RFC 3461
	startTLS   bool // RFC 3207
	requireTLS bool // RFC 8689
	// size is offered at all; maxSize is the limit in octets, 0 for none said
	// (RFC 1870).
	size    bool
	maxSize int64
	// recipients is the most RCPT in a transaction, 0 for none said (RFC 9422).
	recipients int
	// auth lists SASL mechanisms in upper case, in the server's order.
	auth []string
}

// parseKeywords reads the text of a 250 to EHLO: a greeting in the first line,
// one keyword with its parameters in each further one. Case does not matter,
// unknown keywords are passed over.
func parseKeywords(text string) keywords {
	var k keywords
	_, rest, _ := strings.Cut(text, "\n")
	for line := range strings.SplitSeq(rest, "\n") {
		// Old servers write "AUTH=PLAIN LOGIN".
		if len(line) > 5 && strings.EqualFold(line[:5], "AUTH=") {
			line = "AUTH " + line[5:]
		}
		fields := strings.Fields(strings.ToUpper(line))
		if len(fields) > 0 {
			k.add(fields[0], fields[1:])
		}
	}
	return k
}

func (k *keywords) add(name string, params []string) {
	switch name {
	case "PIPELINING":
		k.pipelining = true
	case "CHUNKING":
		k.chunking = true
	case "BINARYMIME":
		k.binaryMIME = true
	case "8BITMIME":
		k.eightBit = true
	case "SMTPUTF8":
		k.utf8 = true
	case "DSN":
		k.dsn = true
	case "STARTTLS":
		k.startTLS = true
	case "REQUIRETLS":
		k.requireTLS = true
	case "SIZE":
		k.size = true
		if len(params) > 0 {
			if n, err := strconv.ParseInt(params[0], 10, 64); err == nil && n > 0 {
				k.maxSize = n
			}
		}
	case "LIMITS":
		for _, p := range params {
			if value, ok := strings.CutPrefix(p, "RCPTMAX="); ok {
				if n, err := strconv.Atoi(value); err == nil && n > 0 {
					k.recipients = n
				}
			}
		}
	case "AUTH":
		for _, m := range params {
			if !slices.Contains(k.auth, m) {
				k.auth = append(k.auth, m)
			}
		}
	}
}
