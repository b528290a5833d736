package delivery

import (
	"cmp"
	"time"
)

// Timeouts bound each wait for a next hop (RFC 5321 4.5.3.2).
type Timeouts struct {
	Greeting  time.Duration
	Hello     time.Duration // EHLO, HELO
	TLS       time.Duration // STARTTLS and handshake
	Auth      time.Duration // one step of AUTH
	Mail      time.Duration
	Recipient time.Duration
	DataStart time.Duration // DATA until 354
	Block     time.Duration // one write of content or commands
	DataEnd   time.Duration // after the end of the data
	Quit      time.Duration // QUIT until 221; then the connection is just closed
	// Transaction is for all of one together, and a second more for each 16 KiB of
	// content: a host may be slow within each of the others, but not at all of them.
	Transaction time.Duration
}

// transaction bounds a transaction with content of size octets.
func (t *Timeouts) transaction(size int64) time.Duration {
	return t.Transaction + time.Duration(size>>14)*time.Second
}

// DefaultTimeouts are those of RFC 5321 4.5.3.2, and shorter ones where it has
// none.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Greeting:  5 * time.Minute,
		Hello:     5 * time.Minute,
		TLS:       time.Minute,
		Auth:      2 * time.Minute,
		Mail:      5 * time.Minute,
		Recipient: 5 * time.Minute,
		DataStart: 2 * time.Minute,
		Block:     3 * time.Minute,
		DataEnd:   10 * time.Minute,
		Quit:      2 * time.Second,

		Transaction: time.Hour,
	}
}

// orDefault returns t with the default for what is zero.
func (t Timeouts) orDefault() Timeouts {
	d := DefaultTimeouts()
	t.Greeting = cmp.Or(t.Greeting, d.Greeting)
	t.Hello = cmp.Or(t.Hello, d.Hello)
	t.TLS = cmp.Or(t.TLS, d.TLS)
	t.Auth = cmp.Or(t.Auth, d.Auth)
	t.Mail = cmp.Or(t.Mail, d.Mail)
	t.Recipient = cmp.Or(t.Recipient, d.Recipient)
	t.DataStart = cmp.Or(t.DataStart, d.DataStart)
	t.Block = cmp.Or(t.Block, d.Block)
	t.DataEnd = cmp.Or(t.DataEnd, d.DataEnd)
	t.Quit = cmp.Or(t.Quit, d.Quit)
	t.Transaction = cmp.Or(t.Transaction, d.Transaction)
	return t
}
