package queue

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// Selector says which deliveries a command is about: those that meet every
// condition that is given.
type Selector struct {
	IDs       []mail.ID
	ToDomain  mail.Domain   // of any recipient that waits
	From      *mail.Path    // the null path selects reports
	Route     string        // a route's name, or a destination as Destination.String writes it
	OlderThan time.Duration // since arrival, by the wall clock
	States    []State
	// All must be set if no condition is, where something is to be changed.
	All bool
}

// ErrUnselective is returned by commands that change something if the Selector
// has no condition and doesn't say All.
var ErrUnselective = errors.New("nothing selected: give ids, a condition, or all")

// selective reports whether s has any condition, or says All.
func (s *Selector) selective() bool {
	return s.All || len(s.IDs) > 0 || !s.ToDomain.IsZero() || s.From != nil ||
		s.Route != "" || s.OlderThan > 0 || len(s.States) > 0
}

// onlyIDs reports whether messages are named and nothing else is asked of them.
func (s *Selector) onlyIDs() bool {
	return len(s.IDs) > 0 && s.ToDomain.IsZero() && s.From == nil && s.Route == "" && s.OlderThan == 0 && len(s.States) == 0
}

// matches reports whether d meets the conditions other than IDs.
func (s *Selector) matches(e *mail.Envelope, d *Delivery, now time.Time) bool {
	return s.matchesMessage(e, now) &&
		s.matchesState(d.State) && s.matchesRoute(d.Destination) &&
		(s.ToDomain.IsZero() || d.waitsFor(e, s.ToDomain))
}

// waitsFor reports whether any recipient of d waits that is in domain, or anywhere
// if that is zero.
func (d *Delivery) waitsFor(e *mail.Envelope, domain mail.Domain) bool {
	return slices.ContainsFunc(d.Recipients, func(r RecipientState) bool { return r.waits(e, domain) })
}

func (r *RecipientState) waits(e *mail.Envelope, domain mail.Domain) bool {
	return !r.State.Final() && (domain.IsZero() || e.Recipients[r.Index].Address.Domain == domain)
}

func (s *Selector) matchesState(st State) bool {
	return len(s.States) == 0 || slices.Contains(s.States, st)
}

func (s *Selector) matchesRoute(d Destination) bool {
	return s.Route == "" || s.Route == d.Route || s.Route == d.String()
}

// mayMatch reports whether anything that goes to d may meet the conditions. On an
// MX route all recipients at a destination have its domain.
func (s *Selector) mayMatch(d Destination) bool {
	return s.matchesRoute(d) && (s.ToDomain.IsZero() || d.Domain.IsZero() || d.Domain == s.ToDomain)
}

// matchesMessage reports whether e meets the conditions that are about messages.
func (s *Selector) matchesMessage(e *mail.Envelope, now time.Time) bool {
	return (s.From == nil || sameMailbox(e.From.Address, s.From.Address)) &&
		(s.OlderThan <= 0 || now.Sub(e.Arrival) >= s.OlderThan)
}

// sameMailbox compares as people do who type an address: without regard to case.
func sameMailbox(a, b mail.Address) bool {
	return a.Domain == b.Domain && strings.EqualFold(a.Local, b.Local)
}

// waitsAside returns the one state of s if its deliveries are indexed, so that a
// million others need not be read to find them.
func (s *Selector) waitsAside() (State, bool) {
	if len(s.IDs) > 0 || len(s.States) != 1 {
		return 0, false
	}
	st := s.States[0]
	return st, st == Held || st == Captured || st == Dead
}
