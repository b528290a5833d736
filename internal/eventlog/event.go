package eventlog

import (
	"log/slog"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// levelOf says from which log.level on an event is left out.
func levelOf(kind mail.EventKind) slog.Level {
	switch kind {
	case mail.EventConnect:
		return slog.LevelDebug
	case mail.EventDead:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// event writes the keys of one event in the order people read them: what, which
// message, who, whereto, the answer, the clock. Keys without a value are left
// out.
func (l *line) event(e *mail.Event) {
	l.text("event", string(e.Kind))
	if !e.ID.IsZero() {
		l.text("id", e.ID.String())
	}
	l.optional("message_id", e.MessageID)
	l.optional("identity", e.Identity)
	l.optional("mechanism", e.Mechanism)
	l.optional("listener", e.Listener)
	if e.From != nil {
		l.text("from", reversePath(*e.From))
	}
	if len(e.To) > 0 {
		l.addresses("to", e.To)
	}
	if e.Size > 0 {
		l.number("size", e.Size)
	}
	l.optional("route", e.Route)
	l.optional("domain", e.Domain.String())
	l.optional("host", e.Host)
	if e.Address.IsValid() {
		l.text("address", e.Address.String())
	}
	l.optional("tls", e.TLS)
	l.reply(&e.Reply)
	if e.Attempt > 0 {
		l.number("attempt", int64(e.Attempt))
	}
	if e.Delay > 0 {
		l.fraction("delay", e.Delay.Seconds())
	}
	for _, p := range e.Phases {
		l.fraction(p.Name+"_ms", float64(p.Took)/float64(time.Millisecond))
	}
	if !e.Next.IsZero() {
		l.time("next", e.Next)
	}
	if e.Err != nil {
		l.text("error", e.Err.Error())
	}
}

func (l *line) reply(r *mail.Reply) {
	if r.Code == 0 {
		return
	}
	l.number("code", int64(r.Code))
	if r.Enhanced != (mail.EnhancedCode{}) {
		l.text("enhanced", r.Enhanced.String())
	}
	if r.Text != "" {
		l.text("reply", strings.ReplaceAll(r.Text, "\n", " "))
	}
}

// reversePath writes a path without brackets, but the null one with them: an
// empty value would look like a missing one.
func reversePath(p mail.Path) string {
	if p.IsNull() {
		return "<>"
	}
	return p.Address.String()
}
