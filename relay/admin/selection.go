package admin

import (
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

// Selection says which deliveries a command is about, as people write it. All
// conditions that are given must hold.
type Selection struct {
	IDs       []string `json:"ids,omitempty"`
	ToDomain  string   `json:"to_domain,omitempty"`
	From      string   `json:"from,omitempty"` // "<>" for the null reverse-path
	Route     string   `json:"route,omitempty"`
	OlderThan string   `json:"older_than,omitempty"`
	States    []string `json:"states,omitempty"`
	All       bool     `json:"all,omitempty"`
}

// waiting are the states a delivery in the queue can have.
var waiting = []queue.State{queue.Active, queue.Deferred, queue.Held, queue.Captured, queue.Dead}

// Empty reports whether there is neither a condition nor All.
func (s Selection) Empty() bool {
	return !s.All && len(s.IDs) == 0 && s.ToDomain == "" && s.From == "" && s.Route == "" &&
		s.OlderThan == "" && len(s.States) == 0
}

// Selector reads the words. Its error says which one can't be read.
func (s Selection) Selector() (queue.Selector, error) {
	sel := queue.Selector{Route: s.Route, All: s.All}
	for _, text := range s.IDs {
		id, err := mail.ParseID(text)
		if err != nil {
			return sel, err
		}
		sel.IDs = append(sel.IDs, id)
	}
	var err error
	if s.ToDomain != "" {
		if sel.ToDomain, err = mail.ParseDomain(s.ToDomain); err != nil {
			return sel, fmt.Errorf("%q is not a domain", s.ToDomain)
		}
	}
	if s.From == "<>" {
		sel.From = &mail.Path{}
	} else if s.From != "" {
		a, err := mail.ParseAddress(s.From)
		if err != nil {
			return sel, fmt.Errorf("%q is not an address such as user@example.com, or <>", s.From)
		}
		sel.From = &mail.Path{Address: a}
	}
	if s.OlderThan != "" {
		var d time.Duration
		if d, err = config.ParseDuration(s.OlderThan); err != nil || d == 0 {
			return sel, fmt.Errorf("%q is not a duration such as 30m, 4h or 2d", s.OlderThan)
		}
		sel.OlderThan = d
	}
	for _, name := range s.States {
		i := slices.IndexFunc(waiting, func(state queue.State) bool { return state.String() == name })
		if i < 0 {
			return sel, fmt.Errorf("%q is not one of active, deferred, held, captured, dead", name)
		}
		sel.States = append(sel.States, waiting[i])
	}
	return sel, nil
}
