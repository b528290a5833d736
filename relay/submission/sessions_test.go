package submission

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
)

// TestSessions plays the sessions in testdata/sessions. Lines are
//
//	# why this session is worth a file
//	listener: KEY=VALUE ...   tls, auth, bare_newlines, allow_insecure_auth
//	C: TEXT                   the client sends TEXT and CR LF
//	C| TEXT                   the same, in one write with the next C
//	S: TEXT                   the server answers exactly this line; "..." at the
//	                          end stands for any rest
//	T                         both begin TLS
//	E                         the server closes the connection
//	Q: FIELD VALUE            of the message queued last: from, to, size, content
//
// TEXT may hold \r, \n, \0 and \\.
func TestSessions(t *testing.T) {
	files, err := filepath.Glob("testdata/sessions/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no sessions", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			play(t, file, string(script))
		})
	}
}

func play(t *testing.T, file, script string) {
	var b *bench
	var c *client
	var settings, group string
	begin := func() {
		if c == nil {
			b = start(t, func(o *Options, _ *bench) { configure(t, &o.Listeners[0], settings) })
			c = b.connect(t)
		}
	}
	unescape := strings.NewReplacer(`\\`, `\`, `\r`, "\r", `\n`, "\n", `\0`, "\x00")
	for i, line := range strings.Split(strings.TrimSuffix(script, "\n"), "\n") {
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("%s:%d: "+format, append([]any{file, i + 1}, args...)...)
		}
		kind, text, _ := strings.Cut(line, " ")
		text = unescape.Replace(text)
		switch kind {
		case "#", "":
		case "listener:":
			settings = text
		case "C|":
			group += text + "\r\n"
		case "C:":
			begin()
			c.send(group + text + "\r\n")
			group = ""
		case "S:":
			begin()
			got, err := c.r.ReadString('\n')
			if err != nil {
				fail("want %q: %v", text, err)
			}
			prefix, open := strings.CutSuffix(text, "...")
			if got != text+"\r\n" && (!open || !strings.HasPrefix(got, prefix)) {
				fail("got %q, want %q", got, text)
			}
		case "T":
			c.encrypt()
		case "E":
			c.closed()
		case "Q:":
			m := b.queue.all()
			if len(m) == 0 {
				fail("nothing was queued")
			}
			field, want, _ := strings.Cut(text, " ")
			if got := m[len(m)-1].show(field); got != want {
				fail("%s is %q, want %q", field, got, want)
			}
		default:
			fail("what is %q?", line)
		}
	}
}

// configure sets a listener as a script says.
func configure(t *testing.T, l *config.Listener, settings string) {
	for setting := range strings.FieldsSeq(settings) {
		switch key, value, _ := strings.Cut(setting, "="); key {
		case "tls":
			l.TLS = config.ListenerTLS(value)
		case "auth":
			l.Auth = config.ListenerAuth(value)
		case "bare_newlines":
			l.BareNewlines = config.BareNewlines(value)
		case "allow_insecure_auth":
			l.AllowInsecureAuth = value == "true"
		default:
			t.Fatalf("what is %q?", setting)
		}
	}
}

// show returns one thing about a message for scripts.
func (m message) show(field string) string {
	switch e := m.envelope; field {
	case "from":
		return e.From.String()
	case "to":
		var to []string
		for _, r := range e.Recipients {
			to = append(to, r.Address.String())
		}
		return strings.Join(to, " ")
	case "orcpt":
		return e.Recipients[0].OriginalType + ";" + e.Recipients[0].Original
	case "envid":
		return e.EnvelopeID
	case "body":
		return m.body()
	}
	return "unknown field " + field
}
