package policy

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// Policy is the Judge the configuration describes.
type Policy struct {
	rules    []*rule
	open     bool // there is no policies key: whoever is known may do all
	counters *Counters
}

var _ Judge = (*Policy)(nil)

// New returns the policy of a configuration. cfg is nil if the file has no
// policies key; an empty list lets nobody send but as themselves. Errors name the
// policy and the key. A nil counters makes new ones.
func New(cfg []config.Policy, counters *Counters) (*Policy, error) {
	if counters == nil {
		counters = NewCounters()
	}
	p := &Policy{open: cfg == nil, counters: counters}
	named := make(map[string]bool)
	for i, c := range cfg {
		if c.Name == "" {
			c.Name = fmt.Sprintf("policies[%d]", i)
		}
		if named[c.Name] {
			return nil, fmt.Errorf("policies[%d]: there is another policy %q", i, c.Name)
		}
		named[c.Name] = true
		r, err := newRule(c)
		if err != nil {
			return nil, fmt.Errorf("policy %q: %w", c.Name, err)
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

// anything is the rule of a configuration without policies.
var anything = &rule{verdict: Verdict{Environment: config.EnvironmentDeliver}}

// find returns the first rule that matches id. Where none does, it is the one
// that lets an identity which is an address send as exactly that address.
func (p *Policy) find(id *mail.Identity) *rule {
	if p.open {
		return anything
	}
	for _, r := range p.rules {
		if r.matches(id) {
			return r
		}
	}
	own := &rule{senders: []mail.Pattern{}, verdict: anything.verdict}
	if a, err := mail.ParseAddress(id.Name); err == nil && !a.Domain.IsZero() {
		own.senders = append(own.senders, mail.ExactPattern(a))
	}
	return own
}

// Limits returns the limits of the rule id is under.
func (p *Policy) Limits(id *mail.Identity) (size int64, recipients int) {
	r := p.find(id)
	return r.size, r.recipients
}

// Connections returns how many connections id may have open at once.
func (p *Policy) Connections(id *mail.Identity) int { return p.find(id).connections }

// Plan returns what Message will say of a message it lets through, but for Undo.
// It refuses and counts nothing.
func (p *Policy) Plan(id *mail.Identity) Verdict { return p.find(id).verdict }

// Sender refuses a reverse-path the rule does not give id (550 5.7.1), a size
// over its limit (552 5.3.4), and a message its messages or octets per period
// have no room for (450 4.7.1). The null reverse-path is everybody's.
func (p *Policy) Sender(id *mail.Identity, from mail.Path, size int64) error {
	r := p.find(id)
	if !from.IsNull() && !r.maySendAs(from.Address) {
		return r.refuseSender("sender", from.Address)
	}
	if err := r.checkSize(size); err != nil {
		return err
	}
	if !r.counts() {
		return nil
	}
	return r.exhausted(p.counters.peek(counterKey{r.name, id.Name}, r.messages, r.bytes, size))
}

// Recipient refuses what the rule denies (550 5.7.1), then what is too many for
// one transaction (452 4.5.3).
func (p *Policy) Recipient(id *mail.Identity, rcpt mail.Address, accepted int) error {
	r := p.find(id)
	if coveredBy(r.deny, rcpt) {
		return mail.Errorf(550, mail.EnhancedCode{5, 7, 1}, "%s: recipient <%s> is denied; denied: %s", r.title(), shown(rcpt), listed(r.deny))
	}
	if r.allow != nil && !coveredBy(r.allow, rcpt) {
		return mail.Errorf(550, mail.EnhancedCode{5, 7, 1}, "%s: recipient <%s> is not allowed; allowed: %s", r.title(), shown(rcpt), listed(r.allow))
	}
	if r.recipients > 0 && accepted >= r.recipients {
		return mail.Errorf(452, mail.EnhancedCode{4, 5, 3}, "%s: at most %d recipients in a message", r.title(), r.recipients)
	}
	return nil
}

// Message refuses a header From that names an address the rule does not give id,
// or none at all where the rule gives only some (550 5.7.1), and what is over a
// limit. What it lets through it counts, once, however many recipients there
// are; of several sessions that reach for the last message one gets it.
func (p *Policy) Message(id *mail.Identity, size int64, from []mail.Address) (Verdict, error) {
	r := p.find(id)
	if r.senders != nil && len(from) == 0 {
		return Verdict{}, mail.Errorf(550, mail.EnhancedCode{5, 7, 1},
			"%s: no address in the header From; allowed: %s", r.title(), listed(r.senders))
	}
	for _, a := range from {
		if !r.maySendAs(a) {
			return Verdict{}, r.refuseSender("header From", a)
		}
	}
	if err := r.checkSize(size); err != nil {
		return Verdict{}, err
	}
	if !r.counts() {
		return r.verdict, nil
	}
	key := counterKey{r.name, id.Name}
	if err := r.exhausted(p.counters.take(key, r.messages, r.bytes, size)); err != nil {
		return Verdict{}, err
	}
	v := r.verdict
	v.Undo = func() { p.counters.giveBack(key, r.messages, r.bytes, size) }
	return v, nil
}

func (r *rule) maySendAs(a mail.Address) bool {
	return r.senders == nil || coveredBy(r.senders, a)
}

func (r *rule) counts() bool { return !r.messages.none() || !r.bytes.none() }

func (r *rule) refuseSender(what string, a mail.Address) error {
	return mail.Errorf(550, mail.EnhancedCode{5, 7, 1}, "%s: %s <%s> is not allowed; allowed: %s", r.title(), what, shown(a), listed(r.senders))
}

// shown writes an address for a reply. One from a header may be anything: it is
// cut to the length of a path and its control characters are taken out.
func shown(a mail.Address) string {
	s := a.String()
	if len(s) > mail.MaxPath {
		s = s[:mail.MaxPath]
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// checkSize refuses for good what no later time lets through either.
func (r *rule) checkSize(size int64) error {
	most := r.size
	if b := int64(r.bytes.most); !r.bytes.none() && (most == 0 || b < most) {
		most = b
	}
	if most > 0 && size > most {
		return mail.Errorf(552, mail.EnhancedCode{5, 3, 4}, "%s: message of %d octets; at most %d", r.title(), size, most)
	}
	return nil
}

// exhausted turns a shortage into a reply, nil if there is none.
func (r *rule) exhausted(s shortage) error {
	wait := func(d time.Duration) time.Duration { return d.Truncate(time.Second) + time.Second }
	var limit string
	var d time.Duration
	switch {
	case s.none():
		return nil
	case s.full:
		return mail.Errorf(450, mail.EnhancedCode{4, 7, 1}, "%s: too many senders with limits, try again later", r.title())
	case s.messages >= s.bytes:
		limit, d = r.messages.text+" for messages", s.messages
	default:
		limit, d = r.bytes.text+" for bytes", s.bytes
	}
	return mail.Errorf(450, mail.EnhancedCode{4, 7, 1}, "%s: limit of %s reached, try again in %s", r.title(), limit, wait(d))
}
