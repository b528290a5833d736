package delivery

import (
	"testing"

	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// BenchmarkClassify judges one refusal of each kind, good and bad.
func BenchmarkClassify(b *testing.B) {
	replies := []mail.Reply{
		{Code: 250, Enhanced: mail.EnhancedCode{2, 1, 5}, Text: "Ok"},
		{Code: 451, Enhanced: mail.EnhancedCode{4, 7, 1}, Text: "Greylisted, try again in five minutes"},
		{Code: 452, Enhanced: mail.EnhancedCode{4, 5, 3}, Text: "Too many recipients"},
		{Code: 550, Enhanced: mail.EnhancedCode{5, 1, 1}, Text: "No such user here"},
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range replies {
			if classify(atRcpt, r, situation{smarthost: true}).verdict > queue.Reroute {
				b.Fatal("no verdict")
			}
		}
	}
}
