package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// HoldField is what a HoldRule looks at.
type HoldField string

// Fields of hold rules.
const (
	HoldRecipient HoldField = "recipient"
	HoldSender    HoldField = "sender"
	HoldRoute     HoldField = "route" // a route's name or a destination
	HoldAll       HoldField = "all"   // all new mail
)

// HoldRule has new mail held that it matches, until an operator releases it.
// Rules last until they are removed, over restarts too.
type HoldRule struct {
	Field HoldField `json:"field"`
	// Pattern is compared without regard to case; "*" stands for anything.
	// Ignored with HoldAll.
	Pattern string    `json:"pattern,omitempty"`
	Since   time.Time `json:"since"`
}

// HoldRules returns the rules in force.
func (q *Queue) HoldRules() []HoldRule { return slices.Clone(*q.rules.Load()) }

// ErrHoldRule is returned for a rule that makes no sense.
var ErrHoldRule = errors.New("not a hold rule")

// AddHoldRule puts a rule in force, durably. Adding it again changes nothing. Its
// error wraps ErrHoldRule if it makes no sense.
func (q *Queue) AddHoldRule(r HoldRule) error {
	switch r.Field {
	case HoldAll:
		r.Pattern = ""
	case HoldRecipient, HoldSender, HoldRoute:
		if r.Pattern == "" {
			return fmt.Errorf("%w: it needs a pattern", ErrHoldRule)
		}
	default:
		return fmt.Errorf("%w: no such field: %q (recipient, sender, route or all)", ErrHoldRule, r.Field)
	}
	q.hands.Lock()
	defer q.hands.Unlock()
	rules := q.HoldRules()
	if slices.ContainsFunc(rules, r.same) {
		return nil
	}
	r.Since = q.clock.now()
	return q.saveRules(append(rules, r))
}

// RemoveHoldRule ends a rule. What it has held stays held until Release. Its error
// wraps ErrNotFound if there is no such rule.
func (q *Queue) RemoveHoldRule(r HoldRule) error {
	q.hands.Lock()
	defer q.hands.Unlock()
	rules := q.HoldRules()
	left := slices.DeleteFunc(rules, r.same)
	if len(left) == len(*q.rules.Load()) {
		return fmt.Errorf("hold rule %s %q: %w", r.Field, r.Pattern, ErrNotFound)
	}
	return q.saveRules(left)
}

func (r HoldRule) same(other HoldRule) bool {
	return r.Field == other.Field && strings.EqualFold(r.Pattern, other.Pattern)
}

func (q *Queue) saveRules(rules []HoldRule) error {
	b, err := json.Marshal(rules)
	if err != nil {
		return err
	}
	if err := q.commit(&Change{Meta: map[string][]byte{metaRules: b}, Sync: true}); err != nil {
		return err
	}
	q.rules.Store(&rules)
	return nil
}

func (q *Queue) loadRules(ctx context.Context) error {
	b, err := q.store.Meta(ctx, metaRules)
	if err != nil {
		return fmt.Errorf("reading the hold rules: %w", err)
	}
	if b == nil {
		return nil
	}
	var rules []HoldRule
	if err := json.Unmarshal(b, &rules); err != nil {
		return fmt.Errorf("reading the hold rules: %w", err)
	}
	q.rules.Store(&rules)
	return nil
}

// holds reports whether a rule holds new mail to a recipient of e. Our own reports
// are held too: an operator who stops all mail means all.
func (q *Queue) holds(e *mail.Envelope, index int, to Destination) bool {
	for _, r := range *q.rules.Load() {
		switch r.Field {
		case HoldAll:
			return true
		case HoldRecipient:
			if glob(r.Pattern, e.Recipients[index].Address.String()) {
				return true
			}
		case HoldSender:
			if glob(r.Pattern, e.From.Address.String()) {
				return true
			}
		case HoldRoute:
			if glob(r.Pattern, to.Route) || glob(r.Pattern, to.String()) {
				return true
			}
		}
	}
	return false
}

// glob reports whether s matches pattern, in which "*" stands for anything, without
// regard to case.
func glob(pattern, s string) bool {
	return mail.NewGlob(strings.ToLower(pattern)).Match(strings.ToLower(s))
}
