package queue

import (
	"errors"
	"testing"
)

func TestHoldRulesThatMakeNoSense(t *testing.T) {
	inBubble(t, alwaysTaken, func(r *rig) {
		for _, rule := range []HoldRule{{}, {Field: "sendr", Pattern: "*"}, {Field: HoldSender}} {
			if err := r.AddHoldRule(rule); !errors.Is(err, ErrHoldRule) {
				t.Errorf("%+v: %v", rule, err)
			}
		}
		if n := len(r.HoldRules()); n > 0 {
			t.Errorf("%d of them are in force", n)
		}
	})
}
