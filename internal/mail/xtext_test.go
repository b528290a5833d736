package mail

import "testing"

func TestXtext(t *testing.T) {
	for _, row := range []struct{ reason, text, coded string }{
		{"printable ASCII stays", "a@example.com", "a@example.com"},
		{"plus and equals sign are the code's own", "a+b=c", "a+2Bb+3Dc"},
		{"a space would end the parameter", "a b", "a+20b"},
	} {
		if got := string(AppendXtext(nil, row.text)); got != row.coded {
			t.Errorf("%s: %q is coded %q", row.reason, row.text, got)
		}
		if got, ok := ParseXtext(row.coded); !ok || got != row.text {
			t.Errorf("%s: %q is decoded %q, %v", row.reason, row.coded, got, ok)
		}
	}
	if got := string(AppendXtext(nil, "\r\n\xfc\x7f")); got != "+0D+0A+FC+7F" {
		t.Errorf("what is not printable is coded %q", got)
	}
	for _, bad := range []string{"", "a=b", "a b", "+", "+4", "+4g", "+0A", "+7F", "\u00fc"} {
		if got, ok := ParseXtext(bad); ok {
			t.Errorf("%q is taken for %q in xtext", bad, got)
		}
	}
}
