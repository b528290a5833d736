package bounce

import (
	"fmt"
	"mime/quotedprintable"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// Bounds on the part that people read.
const (
	textWidth     = 72  // characters in a line
	maxListed     = 100 // recipients; the others are in the machine-readable part
	maxReplyLines = 12  // of what a peer said
)

// textHeader heads the part that people read. Quoted-printable, and only where
// it must be, so that the report travels anywhere the original's header does.
func textHeader(text string) []string {
	charset, encoding := "us-ascii", "7bit"
	if !mail.IsASCII(text) {
		charset, encoding = "utf-8", "quoted-printable"
	}
	return []string{
		"Content-Description: What happened",
		"Content-Type: text/plain; charset=" + charset,
		"Content-Transfer-Encoding: " + encoding,
	}
}

func writeText(w *writer, text string) {
	text = strings.ReplaceAll(text, "\n", "\r\n")
	if mail.IsASCII(text) {
		_, _ = w.Write([]byte(text))
		return
	}
	qp := quotedprintable.NewWriter(w)
	_, _ = qp.Write([]byte(text)) // errors stick in w
	_ = qp.Close()
}

// text tells people what happened, about which addresses, what the other side
// said and what they can do. Lines end in "\n".
func (r *Report) text(o *original) string {
	var t paragraphs
	t.wrap("", "This is the mail system at "+clean(r.ReportingMTA, maxWord)+".")
	t.wrap("", r.opening())
	listed := r.Recipients[:min(len(r.Recipients), maxListed)]
	for len(listed) > 0 {
		n := 1
		for n < len(listed) && listed[n].sameFate(&listed[0]) {
			n++
		}
		r.tell(&t, listed[:n])
		listed = listed[n:]
	}
	if more := len(r.Recipients) - maxListed; more > 0 {
		t.wrap("", fmt.Sprintf("The report attached for programs lists %d more.", more))
	}
	r.describe(&t, o)
	return t.String()
}

// opening is the sentence that a reader in a hurry reads.
func (r *Report) opening() string {
	whom := "the address below"
	if len(r.Recipients) > 1 {
		whom = "the addresses below"
	}
	switch r.Kind {
	case Delayed:
		return "Your message has not yet been delivered to " + whom + ". It is kept and will be tried again" +
			r.until() + "; you need not send it again."
	case Delivered:
		return "Your message was delivered to " + whom + ". You had asked to be told."
	case Relayed:
		return "Your message was handed on for " + whom + ". The mail system there does not report deliveries, " +
			"so this is the last you hear of it unless it fails. You had asked to be told."
	}
	return "Your message could not be delivered to " + whom + ". It will not be tried again."
}

func (r *Report) until() string {
	if until := r.Recipients[0].RetryUntil; !until.IsZero() {
		return " until " + until.In(r.Time.Location()).Format(dateFormat)
	}
	return ""
}

// sameFate reports whether one explanation does for both.
func (r *Recipient) sameFate(other *Recipient) bool {
	return r.Host == other.Host && r.Reply == other.Reply && r.Reason == other.Reason &&
		r.Status == other.Status && r.Attempts == other.Attempts
}

// tell writes addresses that met the same fate, and that fate.
func (r *Report) tell(t *paragraphs, same []Recipient) {
	for i := range same {
		t.line("  ", shown(same[i].Address))
	}
	t.end()
	rcpt := &same[0]
	last := "" // of several attempts, or of one that stands for them
	if rcpt.gaveUp(r.Kind) {
		t.wrap("    ", r.patience(rcpt))
		last = " the last time"
	}
	host := clean(rcpt.Host, maxWord)
	switch {
	case rcpt.Reply.Code != 0 && host != "":
		t.wrap("    ", "The mail server "+host+" answered"+last+":")
		t.quote(fmt.Sprintf("%d %s", rcpt.Reply.Code, rcpt.Reply.Enhanced), rcpt.Reply.Text)
	case rcpt.Reply.Code != 0:
		t.wrap("    ", "The reason:")
		t.quote("", rcpt.Reply.Text)
	case rcpt.Reason != "" && host != "":
		t.wrap("    ", "What went wrong"+last+" at the mail server "+host+":")
		t.quote("", rcpt.Reason)
	case rcpt.Reason != "":
		t.wrap("    ", "What went wrong"+last+":")
		t.quote("", rcpt.Reason)
	}
	if r.Kind == Failed {
		t.wrap("    ", rcpt.advice())
	}
}

// patience tells how long a message was tried for. Few attempts of its own say
// nothing: those at other mail for the same place stood for it too.
func (r *Report) patience(rcpt *Recipient) string {
	waited := span(r.Time.Sub(r.Envelope.Arrival))
	if rcpt.Attempts < 2 {
		return "It was kept for " + waited + " and could not be delivered in that time."
	}
	return fmt.Sprintf("It was tried %d times in %s.", rcpt.Attempts, waited)
}

// span writes a duration as people say it: its largest unit, rounded.
func span(d time.Duration) string {
	units := []struct {
		name string
		of   time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}}
	for _, u := range units {
		if n := (d + u.of/2) / u.of; n > 1 || n == 1 && d >= u.of {
			if n == 1 {
				return "1 " + u.name
			}
			return fmt.Sprintf("%d %ss", n, u.name)
		}
	}
	return "less than a minute"
}

// describe says which message this is about, and whom to ask.
func (r *Report) describe(t *paragraphs, o *original) {
	t.wrap("", "Your message:")
	for _, field := range []struct{ name, value string }{
		{"Subject:", o.field("Subject")},
		{"Accepted:", r.Envelope.Arrival.In(r.Time.Location()).Format(dateFormat)},
		{"Message-ID:", clean(r.Envelope.MessageID, maxWord)},
		{"Queue id:", queueID(r.Envelope.ID)},
	} {
		if field.value != "" {
			t.line("  ", fmt.Sprintf("%-11s %s", field.name, field.value))
		}
	}
	t.end()
	if o.left != "" {
		t.wrap("", o.left)
	}
	if r.Kind == Failed || r.Kind == Delayed {
		t.wrap("", "If you need help, forward this report to "+r.Postmaster.String()+".")
	}
}

// shown is an address as people read it: its domain in U-labels.
func shown(a mail.Address) string { return clean(inUnicode(a), maxWord) }

func inUnicode(a mail.Address) string {
	s := a.String()
	if name := a.Domain.String(); name != "" {
		s = strings.TrimSuffix(s, name) + a.Domain.Unicode()
	}
	return s
}

func queueID(id mail.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}
