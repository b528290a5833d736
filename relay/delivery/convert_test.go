package delivery

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/queue"
)

// crlf makes content of readable text.
func crlf(s string) string { return strings.ReplaceAll(strings.TrimPrefix(s, "\n"), "\n", "\r\n") }

const nested = `
From: a@example.org
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"
Content-Transfer-Encoding: 8bit

preamble
--outer
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Grüße.
.
--outer
Content-Type: multipart/alternative; boundary=inner

--inner
Content-Type: text/plain

plain, unchanged
--inner
Content-Type: text/html; charset=utf-8
Content-transfer-encoding:
	8bit
X-After: kept

<p>Grüße` + " \t" + `
</p>
--inner--
--outer
Content-Type: application/octet-stream

` + "\xff\x00\xfe" + `
--outer
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: inside
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Grüße von innen
--outer
Content-Type: application/pdf
Content-Transfer-Encoding: base64

AAAA
--outer--
epilogue
`

// decoded is what a reader makes of an entity: its leaves, decoded, by place.
func decoded(t *testing.T, place string, header interface{ Get(string) string }, body io.Reader, into map[string]string) {
	t.Helper()
	media, params, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		media = "text/plain"
	}
	encoding := strings.ToLower(header.Get("Content-Transfer-Encoding"))
	switch {
	case strings.HasPrefix(media, "multipart/"):
		r := multipart.NewReader(body, params["boundary"])
		for i := 'a'; ; i++ {
			part, err := r.NextRawPart()
			if err != nil {
				return
			}
			decoded(t, place+string(i), part.Header, part, into)
		}
	case media == "message/rfc822":
		m, err := mail.ReadMessage(body)
		if err != nil {
			t.Fatal(err)
		}
		decoded(t, place+"m", m.Header, m.Body, into)
		return
	case encoding == "quoted-printable":
		body = quotedprintable.NewReader(body)
	case encoding == "base64":
		b, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		body = strings.NewReader(decodeBase64(string(b)))
	}
	b, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	into[place] = string(b)
}

func leaves(t *testing.T, content string) map[string]string {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	into := make(map[string]string)
	decoded(t, "", m.Header, m.Body, into)
	return into
}

func convert(t *testing.T, content string) (string, error) {
	t.Helper()
	b, err := to7Bit(memory{bytes.NewReader([]byte(content))})
	if err != nil {
		return "", err
	}
	out, err := io.ReadAll(b.open())
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(out)) != b.size {
		t.Errorf("size says %d octets, there are %d", b.size, len(out))
	}
	return string(out), nil
}

// is7Bit checks what a host without 8BITMIME may be sent.
func is7Bit(t *testing.T, content string) {
	t.Helper()
	for line := range strings.SplitSeq(content, "\r\n") {
		for _, c := range []byte(line) {
			if c >= 0x80 || c == 0 || c == '\r' || c == '\n' {
				t.Fatalf("line %q", line)
			}
		}
		if len(line) > 998 {
			t.Errorf("line of %d octets", len(line))
		}
	}
}

func TestConversion(t *testing.T) {
	long := strings.Repeat("ä", 2000)
	for name, content := range map[string]string{
		"nested": crlf(nested),
		"text":   crlf("Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\nGrüße = \n"),
		"long":   crlf("Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n" + long + "\n"),
		"octets": crlf("Subject: x\nMIME-Version: 1.0\nContent-Type: image/png\n\n" + strings.Repeat("\xff\xd8", 300) + "\n"),
		"binary": crlf("Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: binary\n\n") + "a\rb\nc\x00",
		"ASCII": crlf("Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain\nContent-Transfer-Encoding: binary\n\n") +
			strings.Repeat("x", 100_000) + "\r\n",
		"a long line in a part": crlf("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: application/json\n\n{" +
			strings.Repeat("x", 100_000) + "}\n--b\n\nGrüße\n--b--\n"),
		"odd":   crlf("Subject: x\nMIME-Version: 1.0\nContent-Type: text/html; name=a=b\n\nGrüße\n"),
		"plain": crlf("Subject: not MIME\n\nGrüße\n"),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := convert(t, content)
			if err != nil {
				t.Fatal(err)
			}
			is7Bit(t, got)
			before, after := leaves(t, content), leaves(t, got)
			if len(before) != len(after) {
				t.Fatalf("%d leaves became %d", len(before), len(after))
			}
			for place, want := range before {
				if after[place] != want {
					t.Errorf("leaf %s: %q became %q", place, want, after[place])
				}
			}
			if again, err := convert(t, got); err != nil || again != got {
				t.Errorf("a second conversion: %v", err)
			}
		})
	}
}

// TestConversionKeeps: what is 7-bit already is not touched, octet for octet.
func TestConversionKeeps(t *testing.T) {
	got, err := convert(t, crlf(nested))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"preamble\r\n--outer\r\n", "--inner\r\nContent-Type: text/plain\r\n\r\nplain, unchanged\r\n--inner\r\n",
		"X-After: kept\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
		"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--outer--\r\nepilogue\r\n",
		"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nSubject: inside\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// TestLabelledBinary: no part goes out labelled "binary", which is a promise that only
// BINARYMIME keeps. If the label alone is wrong nothing else is changed, and of a signed
// part not even that.
func TestLabelledBinary(t *testing.T) {
	const binary, seven = "Content-Transfer-Encoding: Binary\n", "Content-Transfer-Encoding: 7bit\n"
	message := func(encoding string) string {
		return crlf("MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n" + encoding + "\n" +
			"--b\nContent-Type: text/plain\n" + encoding + "\nplain\n" +
			"--b\n\nnot labelled\n" +
			"--b\nContent-Type: multipart/signed; boundary=s\n\n--s\n" + binary + "\nsigned\n--s--\n" +
			"--b--\n")
	}
	if got, err := convert(t, message(binary)); err != nil || got != message(seven) {
		t.Errorf("error %v, content:\n%s", err, got)
	}
	plain := strings.ReplaceAll(message(""), binary[:len(binary)-1], "X: y")
	if got, err := convert(t, plain); err != nil || got != plain {
		t.Errorf("error %v, content:\n%s", err, got)
	}
}

// TestLinesOf998 are the longest that go to any host (RFC 5321 4.5.3.1.6).
func TestLinesOf998(t *testing.T) {
	for n, changed := range map[int]bool{998: false, 999: true, outSize: true, outSize + 998: true} {
		for _, end := range []string{"\r\n", ""} {
			content := crlf("MIME-Version: 1.0\nContent-Type: text/plain\n\n") + strings.Repeat("x", n) + end
			if got, err := convert(t, content); err != nil || changed != (got != content) {
				t.Errorf("%d octets, then %q: error %v, changed %v", n, end, err, got != content)
			}
		}
	}
}

// TestLinesAsLongAsABuffer: where a reader's buffer ends is no line end.
func TestLinesAsLongAsABuffer(t *testing.T) {
	for n := 4090; n <= 4100; n++ {
		content := "X: " + strings.Repeat("x", n-3) + "\r\nSubject: Grüße\r\n\r\nhello\r\n"
		if ascii, err := asciiHeader(memory{bytes.NewReader([]byte(content))}); ascii || err != nil {
			t.Errorf("a header line of %d octets before one in UTF-8: ASCII %v, error %v", n, ascii, err)
		}
		content = "--b\r\n" + strings.Repeat("x", n) + "\r\n--b\r\n" + "y\r\n--b--\r\n"
		parts, err := findParts(memory{bytes.NewReader([]byte(content))}, 0, int64(len(content)), "b")
		want := []extent{{5, int64(5 + n)}, {int64(12 + n), int64(13 + n)}}
		if !slices.Equal(parts, want) || err != nil {
			t.Errorf("a part with a line of %d octets: %v, want %v, error %v", n, parts, want, err)
		}
	}
}

func TestNoConversion(t *testing.T) {
	const head = "MIME-Version: 1.0\n"
	for name, row := range map[string]struct{ content, says string }{
		"signed":            {head + "Content-Type: multipart/signed; boundary=b\n\n--b\n\nGrüße\n--b\n\nsignature\n--b--\n", "signed"},
		"signed inside":     {head + "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/signed; boundary=b\n\n--b\n\nGrüße\n--b--\n--o--\n", "signed"},
		"header":            {"Subject: Grüße\n" + head + "\nGrüße\n", "header"},
		"mislabelled":       {head + "Content-Transfer-Encoding: base64\n\nGrüße\n", "not what"},
		"a partial message": {head + "Content-Type: message/partial\n\nGrüße\n", "message/partial"},
		"no boundary":       {head + "Content-Type: multipart/mixed\n\nGrüße\n", "boundary"},
		"preamble":          {head + "Content-Type: multipart/mixed; boundary=b\n\nGrüße\n--b\n\nx\n--b--\n", "between"},
		"boundary unquoted": {head + "Content-Type: multipart/mixed; boundary=----=_Part\n\n------=_Part\n\nGrüße\n------=_Part--\n", "can't be read"},
		"odd space":         {head + "Content-Type: Multipart /mixed; boundary=b\n\n--b\n\nGrüße\n--b--\n", "can't be read"},
		"a message, oddly":  {head + "Content-Type: message/rfc822; name=a=b\n\nSubject: x\n\nGrüße\n", "can't be read"},
		"very deep":         {strings.Repeat("Content-Type: message/rfc822\n\n", 20) + "\nGrüße\n", "deeply"},
		"a huge header":     {"X: " + strings.Repeat("x", maxHeader) + "\n\nGrüße\n", "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := convert(t, crlf(row.content)); err == nil || !strings.Contains(err.Error(), row.says) {
				t.Errorf("error %v, want one with %q", err, row.says)
			}
		})
	}
}

func decodeBase64(s string) string {
	b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(s, "\r\n", ""))
	if err != nil {
		return "not base64: " + err.Error()
	}
	return string(b)
}

// FuzzConversion: whatever the content, the result is 7-bit, as long as announced,
// and stable; or there is an error.
func FuzzConversion(f *testing.F) {
	f.Add([]byte(crlf(nested)))
	f.Add([]byte("\r\n\xff"))
	f.Add([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\xff\r\n--b--"))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := convert(t, string(content))
		if err != nil {
			return
		}
		for _, c := range []byte(got) {
			if c >= 0x80 {
				t.Fatalf("8-bit octets in %q", got)
			}
		}
	})
}

// TestReportsWithInternationalisedAddressesAreConverted: a report about such an
// address reaches its sender through a host that takes 7-bit mail only.
func TestReportsWithInternationalisedAddressesAreConverted(t *testing.T) {
	p := peer(t, nil)
	content := "MIME-Version: 1.0\r\nContent-Type: multipart/report; boundary=x\r\n\r\n" +
		"--x\r\nContent-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n\r\nFinal-Recipient: utf-8; üser@example.net\r\n--x--\r\n"
	a := message(content, "1@example.net")
	a.Envelope.EightBit = true
	o := send(t, mx(hop("mx.example.net", p.Addr())), a)
	if o.Results[0].Verdict != queue.Success {
		t.Fatalf("outcome: %+v", o)
	}
	if got := string(p.Await(t, 1)[0].Content); strings.Contains(got, "ü") || !strings.Contains(got, "base64") {
		t.Errorf("arrived:\n%s", got)
	}
}
