package delivery

import (
	"slices"
	"strings"
	"testing"

	"github.com/postrider/postrider/queue"
)

// bodies are contents whose octets must arrive unchanged.
var bodies = map[string]string{
	"short":                 hello,
	"dots":                  "Subject: dots\r\n\r\n.\r\n..\r\n...x\r\n. \r\nend.\r\n.\r\n",
	"begins with a dot":     ".x: 1\r\n\r\n\r\n",
	"8 bit":                 "Subject: x\r\n\r\n\xc3\xa4 \xff\xfe\r\n",
	"line of 998":           "Subject: x\r\n\r\n" + strings.Repeat("x", 998) + "\r\n",
	"dot at a buffer's end": "A: " + strings.Repeat("x", outSize-6) + "\r\n.\r\n.dot\r\n",
	"20 MB":                 "Subject: large\r\n\r\n" + strings.Repeat(strings.Repeat(".", 60)+"\r\n", 20<<20/62),
}

func TestContentArrivesOctetForOctet(t *testing.T) {
	for kind, keywords := range allKinds {
		for name, content := range bodies {
			t.Run(kind+"/"+name, func(t *testing.T) {
				p := peer(t, nil, append(slices.Clone(keywords), "8BITMIME")...)
				r := mx(hop("mx.example.net", p.Addr()))
				c := courier(t, r, Timeouts{})
				a := r.towards(message(content, "a@example.net", "b@example.net"))
				a.Envelope.EightBit = strings.ContainsRune(content, 0xe4) || strings.Contains(content, "\xff")
				times := 3 // the second and third on a warm session
				if len(content) > 1<<20 {
					times = 1
				}
				for range times {
					o := c.Deliver(t.Context(), a)
					if !slices.Equal(verdicts(o), []queue.Verdict{queue.Success, queue.Success}) {
						t.Fatalf("outcome: %+v", o)
					}
				}
				got := p.Await(t, times)
				for _, m := range got {
					if string(m.Content) != content {
						t.Fatalf("got %d octets, want %d", len(m.Content), len(content))
					}
					if !slices.Equal(m.To, []string{"a@example.net", "b@example.net"}) || m.From != "sender@example.org" {
						t.Errorf("envelope: %v %v", m.From, m.To)
					}
				}
				if n := len(p.Sessions()); n != 1 {
					t.Errorf("%d sessions for %d messages, want 1", n, times)
				}
			})
		}
	}
}
