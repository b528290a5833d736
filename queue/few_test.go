package queue

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/postrider/postrider/internal/mail"
)

// TestFewAreFoundAsAmongAll: what is found through the schedule is what is found
// by reading everything, in the same order, page by page.
func TestFewAreFoundAsAmongAll(t *testing.T) {
	ctx := context.Background()
	domain := mail.MustParseDomain
	inBubble(t, alwaysGreylisted, func(r *rig) {
		for i := range 12 {
			r.send("a@x.example", fmt.Sprintf("u@d%d.example", i%3), "v@d3.example")
		}
		synctest.Wait()
		if _, err := r.Hold(ctx, Selector{ToDomain: domain("d1.example")}); err != nil {
			t.Fatal(err)
		}
		for _, test := range []struct {
			why  string
			sel  Selector
			want int
		}{
			{"a destination", Selector{Route: "mx/d3.example"}, 12},
			{"a route", Selector{Route: "mx"}, 24},
			{"a route with nothing on it", Selector{Route: "provider"}, 0},
			{"a domain, in the schedule", Selector{ToDomain: domain("d2.example")}, 4},
			{"a domain, out of it", Selector{ToDomain: domain("d1.example")}, 4},
			{"a state of the schedule", Selector{States: []State{Deferred}}, 20},
			{"a state that nothing is in", Selector{States: []State{Active}}, 0},
			{"states in it and out of it", Selector{States: []State{Deferred, Held}}, 24},
			{"both a domain and a state", Selector{ToDomain: domain("d1.example"), States: []State{Deferred}}, 0},
		} {
			if !r.few(&test.sel) {
				t.Errorf("%s: not few", test.why)
			}
			var got []DeliveryKey
			for after := (DeliveryKey{}); ; {
				page, next, err := r.findFew(ctx, &test.sel, after, 3)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range page {
					got = append(got, f.delivery.DeliveryKey)
				}
				if after = next; next == (DeliveryKey{}) {
					break
				}
			}
			all, _, err := r.findAmongAll(ctx, &test.sel, DeliveryKey{}, 100)
			if err != nil {
				t.Fatal(err)
			}
			var want []DeliveryKey
			for _, f := range all {
				want = append(want, f.delivery.DeliveryKey)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) || len(want) != test.want {
				t.Errorf("%s: found %v, among all %v; want %d", test.why, got, want, test.want)
			}
		}
	})
}
