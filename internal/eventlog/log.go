package eventlog

import (
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
)

// format is config.LogFormat in a form that can be swapped while lines are
// written.
type format uint32

const (
	formatJSON format = iota
	formatText
	formatPostfix
)

// Log is the log. It takes events as a mail.Recorder, and lines of the program's
// own through Logger.
type Log struct {
	out    *writer
	level  slog.LevelVar
	format atomic.Uint32
	lines  sync.Pool // of *line
	host   string    // ours, for the Postfix format
	pid    int
}

// Open begins a log on w. Close must be called before the process ends.
func Open(w io.Writer, c config.Log) *Log {
	l := &Log{pid: os.Getpid()}
	l.lines.New = func() any { return new(line) }
	l.host, _ = os.Hostname()
	l.Apply(c)
	l.out = start(w, l.lost)
	return l
}

// Apply puts other settings in force, from the next line on.
func (l *Log) Apply(c config.Log) {
	switch c.Level {
	case config.LogDebug:
		l.level.Set(slog.LevelDebug)
	case config.LogWarn:
		l.level.Set(slog.LevelWarn)
	case config.LogError:
		l.level.Set(slog.LevelError)
	default:
		l.level.Set(slog.LevelInfo)
	}
	switch c.Format {
	case config.LogText:
		l.format.Store(uint32(formatText))
	case config.LogPostfix:
		l.format.Store(uint32(formatPostfix))
	default:
		l.format.Store(uint32(formatJSON))
	}
}

// Logger returns the logger for everything that is no event.
func (l *Log) Logger() *slog.Logger { return slog.New(&handler{log: l}) }

// Close writes what is left. Lines that come later are dropped. It waits at most
// two seconds, and may be called again.
func (l *Log) Close() { l.out.close() }

// Record writes one event. It does not block.
func (l *Log) Record(e mail.Event) {
	level := levelOf(e.Kind)
	if level < l.level.Level() {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	f := format(l.format.Load())
	if f == formatPostfix {
		l.recordPostfix(&e)
		return
	}
	l.write(f, func(ln *line) {
		ln.time("time", e.Time)
		ln.text("level", level.String())
		ln.event(&e)
	})
}

// write builds one line with fill and hands it over.
func (l *Log) write(f format, fill func(*line)) {
	ln := l.lines.Get().(*line)
	*ln = line{b: ln.b[:0], json: f == formatJSON}
	ln.begin()
	fill(ln)
	ln.end()
	l.out.put(ln.b)
	if cap(ln.b) <= keepBuffer {
		l.lines.Put(ln)
	}
}

// lost appends the line that tells how many lines found no room.
func (l *Log) lost(b []byte, lines int) []byte {
	f := format(l.format.Load())
	ln := line{b: b, json: f == formatJSON}
	ln.begin()
	l.head(&ln, f, time.Now(), slog.LevelWarn, "log lines dropped: stderr is not read fast enough")
	ln.number("lines", int64(lines))
	ln.end()
	return ln.b
}

// head writes what every line of the program's own begins with.
func (l *Log) head(ln *line, f format, t time.Time, level slog.Level, message string) {
	if f != formatPostfix {
		ln.time("time", t)
		ln.text("level", level.String())
		ln.text("msg", message)
		return
	}
	l.syslog(ln, t, "postrider")
	if level >= slog.LevelWarn {
		ln.b = append(ln.b, "warning: "...)
	}
	ln.b = append(ln.b, singleLine(message)...)
	ln.any = true
}
