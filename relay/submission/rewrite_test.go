package submission

import (
	"strings"
	"testing"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
)

// TestRewrittenFrom: the name stays where there is one that can be read.
func TestRewrittenFrom(t *testing.T) {
	to := mail.MustParseAddress("no-reply@example.com")
	long := strings.Repeat("x", 70)
	for _, row := range []struct {
		why, value, want string
	}{
		{"an address alone", " a@b.example", "<to>"},
		{"nothing", "", "<to>"},
		{"atoms", " The App <a@b.example>", "The App <to>"},
		{"initials", " John Q. Public <a@b.example>", "John Q. Public <to>"},
		{"UTF-8", " M\u00fcller <a@b.example>", "M\u00fcller <to>"},
		{"a quoted string", ` "App, the <b> \" of @" x <a@b.example>`, `"App, the <b> \" of @" x <to>`},
		{"quoted strings without space between", ` "a""b"c <a@b.example>`, `"a" "b" c <to>`},
		{"encoded words", " =?utf-8?q?A?=\r\n =?utf-8?q?B?= <a@b.example>", "=?utf-8?q?A?= =?utf-8?q?B?= <to>"},
		{"encoded words without space between", " =?utf-8?q?A?==?utf-8?q?B?= <a@b.example>", "<to>"},
		{"a bracket at one", " =?utf-8?q?A?=] <a@b.example>", "<to>"},
		{"a dot in front", " .net Team <a@b.example>", `".net" Team <to>`},
		{"a comment", " App (Sales) <a@b.example>", "App <to>"},
		{"a comment with what looks like an address", " foo (bar <x) <a@b.example>", "foo <to>"},
		{"a comment without end", " foo (bar <a@b.example>", "<to>"},
		{"a parenthesis without beginning", " foo)bar <a@b.example>", `"foo)bar" <to>`},
		{"brackets, as ticket systems write them", " [JIRA] Foo <a@b.example>", `"[JIRA]" Foo <to>`},
		{"a comma in them", " [a, b] Foo <a@b.example>", `"[a," "b]" Foo <to>`},
		{"a backslash", ` foo\ <a@b.example>`, "<to>"},
		{"a backslash in brackets", ` [\] <a@b.example>`, "<to>"},
		{"an address for a name", " x@y.example <a@b.example>", "<to>"},
		{"a quote without end", ` "foo <a@b.example>`, "<to>"},
		{"a control character", " fo\x01o <a@b.example>", "<to>"},
		{"several authors", " A B <a@b.example>, C <c@d.example>", "A B <to>"},
		{"a group", " Team: A <a@b.example>;", "A <to>"},
		{"a long word before the address", " " + long + " <a@b.example>", long + "\r\n <to>"},
		{"long words", " " + long + " " + long + " <a@b.example>", long + "\r\n " + long + "\r\n <to>"},
		{"a word as long as a line", " " + strings.Repeat("x", 992) + " <a@b.example>", strings.Repeat("x", 992) + "\r\n <to>"},
		{"a longer one", " " + strings.Repeat("x", 993) + " <a@b.example>", "<to>"},
	} {
		got := string(appendRewrittenFrom(nil, []byte(row.value+"\r\n"), to))
		want := "From: " + strings.ReplaceAll(row.want, "<to>", "<no-reply@example.com>") + "\r\n"
		if got != want {
			t.Errorf("%s: got %q, want %q", row.why, got, want)
		}
	}
}

// TestRewrittenHeader: a message has one From, and no line is longer than lines may
// be because of what we add.
func TestRewrittenHeader(t *testing.T) {
	boss := mail.MustParseAddress("boss@example.org")
	long := `"` + strings.Repeat("x", 974) + `"`
	for _, row := range []struct {
		why, header, want string
	}{
		{"a folded From that fills its line", "From:\r\n " + long + "\r\n <a@b.example>\r\n",
			"From: " + long + "\r\n <boss@example.org>\r\nReply-To:\r\n " + long + "\r\n <a@b.example>\r\n"},
		{"one that has room for From: and not for Reply-To:", "From: " + strings.Repeat("x", 991) + "\r\n <a@b.example>\r\n",
			"From: " + strings.Repeat("x", 991) + "\r\n <boss@example.org>\r\nReply-To:\r\n " + strings.Repeat("x", 991) + "\r\n <a@b.example>\r\n"},
		{"the same without a space", "From:" + strings.Repeat("x", 990) + "\r\n <a@b.example>\r\n",
			"From: " + strings.Repeat("x", 990) + "\r\n <boss@example.org>\r\nReply-To:\r\n " + strings.Repeat("x", 990) + "\r\n <a@b.example>\r\n"},
		{"none", "Subject: x\r\n", "Subject: x\r\nFrom: <boss@example.org>\r\n"},
		{"several", "From: A <a@b.example>\r\nSubject: x\r\nFrom: B <b@b.example>\r\n",
			"From: A <boss@example.org>\r\nReply-To: A <a@b.example>\r\nSubject: x\r\n"},
	} {
		b := start(t, func(_ *Options, b *bench) { b.judge.verdict = policy.Verdict{Rewrite: config.Rewrite{From: &boss}} })
		c := b.dial(t)
		c.login()
		m := b.submit(t, c, row.header+"Date: x\r\nMessage-ID: <1@x>\r\n\r\nbody\r\n")
		if got := strings.Replace(m.content, "Date: x\r\nMessage-ID: <1@x>\r\n", "", 1); !strings.HasSuffix(got, "\r\n"+row.want+"\r\nbody\r\n") {
			t.Errorf("%s: got %q", row.why, m.content)
		}
		for line := range strings.SplitSeq(m.content, "\r\n") {
			if len(line) > longestLine {
				t.Errorf("%s: a line of %d octets", row.why, len(line))
			}
		}
	}
}

// FuzzRewrittenFrom: whatever From held, another program reads the new address, and it
// alone.
func FuzzRewrittenFrom(f *testing.F) {
	for _, s := range []string{` "a, b" <c@d.example>`, ` foo (bar <x) <a@b>`, ` foo\ <x@y>`, ` foo)bar <x@y>`, ` "\" <x@y>`, " [a <x@y>", ` "a"b<x@y>`, ` =?utf-8?q?a?=<x@y>`} {
		f.Add(s)
	}
	to := mail.MustParseAddress("no-reply@example.com")
	f.Fuzz(func(t *testing.T, s string) {
		field := string(appendRewrittenFrom(nil, []byte(s), to))
		value := strings.TrimPrefix(strings.TrimSuffix(field, "\r\n"), "From: ")
		for line := range strings.SplitSeq(value, "\r\n") {
			if len(line) > longestLine {
				t.Errorf("a line of %d octets", len(line))
			}
		}
		list := appendFrom(nil, value)
		if len(list) != 1 || list[0] != to {
			t.Fatalf("%q became %q, which says %v", s, value, list)
		}
	})
}
