package report

import (
	"fmt"
	"slices"
)

// Run is one measurement of one system doing one piece of work.
type Run struct {
	Profile string `json:"profile"`
	Case    string `json:"case"`
	System  string `json:"system"`
	Round   int    `json:"round"`
	// Values are by metric key; see Metrics.
	Values map[string]float64 `json:"values,omitempty"`
	// Series holds a metric's course over the run in equal parts of the work.
	Series map[string][]float64 `json:"series,omitempty"`
	// Dropped says why the run doesn't count; empty if it does.
	Dropped string `json:"dropped,omitempty"`
}

// Judge drops the run if it failed, lost or repeated something, or if others
// used more of the machine than maxForeign. It is the one rule for all systems.
func (r *Run) Judge(err error, wanted, got int, maxForeign float64) {
	switch foreign := r.Values["foreign"]; {
	case err != nil:
		r.Dropped = err.Error()
	case wanted != got:
		r.Dropped = fmt.Sprintf("%d of %d arrived", got, wanted)
	case foreign > maxForeign:
		r.Dropped = fmt.Sprintf("others used %.0f %% of the machine", 100*foreign)
	}
}

// Set is all runs in the order they were made.
type Set []Run

// Profiles returns the names of the profiles in order.
func (s Set) Profiles() []string { return s.distinct(func(r Run) string { return r.Profile }) }

// Of returns the runs of a profile.
func (s Set) Of(profile string) Set {
	return s.filter(func(r Run) bool { return r.Profile == profile })
}

// Case returns the runs of a case.
func (s Set) Case(name string) Set { return s.filter(func(r Run) bool { return r.Case == name }) }

// System returns the runs of a system.
func (s Set) System(name string) Set { return s.filter(func(r Run) bool { return r.System == name }) }

// Cases returns the names of the cases in order.
func (s Set) Cases() []string { return s.distinct(func(r Run) string { return r.Case }) }

// Systems returns the names of the systems in order.
func (s Set) Systems() []string { return s.distinct(func(r Run) string { return r.System }) }

// Good returns the runs that count.
func (s Set) Good() Set { return s.filter(func(r Run) bool { return r.Dropped == "" }) }

// Values returns a metric's values of the runs that count and have it.
func (s Set) Values(metric string) []float64 {
	var values []float64
	for _, r := range s {
		if v, ok := r.Values[metric]; ok && r.Dropped == "" {
			values = append(values, v)
		}
	}
	return values
}

func (s Set) filter(keep func(Run) bool) Set {
	var kept Set
	for _, r := range s {
		if keep(r) {
			kept = append(kept, r)
		}
	}
	return kept
}

func (s Set) distinct(name func(Run) string) []string {
	var names []string
	for _, r := range s {
		if n := name(r); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}
