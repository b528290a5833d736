package eventlog

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// handler writes the program's own lines in the format in force. Groups become
// prefixes of keys.
type handler struct {
	log    *Log
	prefix string
	attrs  []slog.Attr // with their prefixes
}

// Enabled reports whether a line of this level is written.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.log.level.Level()
}

// Handle writes one line.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	f := format(h.log.format.Load())
	h.log.write(f, func(l *line) {
		h.log.head(l, f, r.Time, r.Level, r.Message)
		for _, a := range h.attrs {
			l.attr("", a)
		}
		r.Attrs(func(a slog.Attr) bool {
			l.attr(h.prefix, a)
			return true
		})
	})
	return nil
}

// WithAttrs returns a handler that adds attrs to each line.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = slices.Clip(c.attrs)
	for _, a := range attrs {
		a.Key = h.prefix + a.Key
		c.attrs = append(c.attrs, a)
	}
	return &c
}

// WithGroup returns a handler that puts name and a dot before keys.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.prefix += name + "."
	return &c
}

// attr writes one attribute; a group's members carry its name.
func (l *line) attr(prefix string, a slog.Attr) {
	v := a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return
	}
	k := prefix + a.Key
	switch v.Kind() {
	case slog.KindGroup:
		if a.Key != "" {
			prefix = k + "."
		}
		for _, member := range v.Group() {
			l.attr(prefix, member)
		}
	case slog.KindInt64:
		l.number(k, v.Int64())
	case slog.KindFloat64:
		l.fraction(k, v.Float64())
	case slog.KindBool:
		l.key(k)
		l.b = append(l.b, v.String()...)
	case slog.KindTime:
		l.time(k, v.Time())
	case slog.KindDuration:
		l.text(k, v.Duration().Round(time.Microsecond).String())
	default:
		l.text(k, v.String())
	}
}

// singleLine makes one line of a text that goes to the log unquoted.
func singleLine(s string) string {
	return strings.Map(func(r rune) rune {
		if moves(r) {
			return ' '
		}
		return r
	}, s)
}
