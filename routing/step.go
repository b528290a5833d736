package routing

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// look notes a look-up: its aliases, then what was found.
func (s *search) look(kind Type, name string, a *Answer, err error, took time.Duration) {
	if !s.explain {
		return
	}
	step := Step{What: kind.String() + " " + name, Took: took}
	if err != nil {
		step.Result = err.Error()
		if !errors.Is(err, ErrAliasLoop) {
			step.Result = "no answer: " + step.Result
		}
		s.steps = append(s.steps, step)
		return
	}
	now := time.Now()
	for _, hop := range a.Aliases {
		s.steps = append(s.steps, Step{
			What: "CNAME " + hop.Owner, Result: hop.Target, TTL: max(hop.TTL-now.Sub(a.Asked), 0), Took: step.Took,
		})
		step.Took = 0 // it was one question
	}
	step.What = kind.String() + " " + a.Name
	step.Result, step.TTL = a.String(), a.left(now)
	s.steps = append(s.steps, step)
}

// lookHost notes where the addresses of a host came from.
func (s *search) lookHost(f *found) {
	switch {
	case !s.explain:
	case len(f.fixed) > 0:
		s.step("host "+f.host, join(f.fixed)+" (no look-up)")
	default:
		s.look(TypeAAAA, f.host, f.aaaa, f.errAAAA, f.took)
		s.look(TypeA, f.host, f.a, f.errA, f.took)
	}
}

// String tells what was found, for people.
func (a *Answer) String() string {
	switch {
	case !a.Exists:
		return "no such name"
	case len(a.MX) > 0:
		words := make([]string, len(a.MX))
		for i, mx := range a.MX {
			words[i] = fmt.Sprintf("%d %s", mx.Preference, mx.Host)
			if mx.Host == "" {
				words[i] = fmt.Sprintf("%d .", mx.Preference)
			}
		}
		return strings.Join(words, ", ")
	case len(a.Addresses) > 0:
		return join(a.Addresses)
	}
	return "none"
}
