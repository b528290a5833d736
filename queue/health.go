package queue

import (
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/internal/mail"
)

// Bounds of the concurrency and of the pause of a destination.
const (
	firstLimit = 2 // attempts at once before anything is known
	// firstPause is how long a destination that asks for less is left alone; it
	// doubles while it goes on asking, up to the first retry interval.
	firstPause = time.Second
)

// Status says whether a destination takes mail.
type Status uint8

// Statuses. A destination that is Throttling, Down or Suspended is tried by one
// attempt at a time, when its pause is over.
const (
	Up         Status = iota
	Throttling        // asks for less
	Down              // no host could be reached
	Suspended         // its route is broken by configuration; expiry waits
)

var statusNames = [...]string{"up", "throttled", "down", "suspended"}

// String returns the word users see.
func (s Status) String() string { return statusNames[s] }

// MarshalText writes the word users see.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word users see.
func (s *Status) UnmarshalText(word []byte) error {
	i := slices.Index(statusNames[:], string(word))
	if i < 0 {
		return fmt.Errorf("%q is no status of a destination", word)
	}
	*s = Status(i)
	return nil
}

// trouble is what an attempt found wrong with a destination.
type trouble struct {
	fault  Fault
	reply  mail.Reply
	host   string
	reason string
	by     DeliveryKey // whose attempt
}

func (t trouble) status() Status {
	switch t.fault {
	case Throttled:
		return Throttling
	case Unreachable:
		return Down
	case RouteFault:
		return Suspended
	}
	return Up
}

// String says it in one line, for the log.
func (t trouble) String() string {
	if t.reply.Code != 0 {
		return t.reply.String()
	}
	return t.reason
}

// health is how a destination is doing: how much it bears, and when it is probed
// if it is in trouble. Only its own pause is written here, and never a delivery:
// a dead destination costs one attempt an interval, however much waits for it.
type health struct {
	status Status
	// limit is how many attempts may run at once while Up. It grows by one
	// with every success until the first trouble, then by one with every round.
	limit  float64
	shrunk bool
	// faults counts the pauses in a row; last is when the latest was imposed,
	// next when it ends. An attempt that did not begin after last says nothing new.
	faults     int
	since      time.Time // since when it has not been Up
	last, next time.Time
	trouble    trouble
	// sole says that trouble is one delivery's word alone. Another may be tried at
	// once, since what is wrong may be about the message.
	sole bool
}

// allowed returns how many attempts may run at once; bound is the configured most.
func (h *health) allowed(bound int) int {
	if h.status != Up {
		return 1
	}
	return max(1, min(int(h.limit), bound))
}

// works notes that the destination took part in an attempt, and whether it
// took mail. It reports whether that is news.
func (h *health) works(took bool, bound int) (news bool) {
	news = h.status != Up
	if news {
		h.status, h.faults, h.trouble, h.sole = Up, 0, trouble{}, false
		h.since, h.next = time.Time{}, time.Time{}
	}
	if !took {
		return news
	}
	if h.shrunk {
		h.limit += 1 / h.limit
	} else {
		h.limit++
	}
	h.limit = min(h.limit, float64(max(bound, 1)))
	return news
}

// suffers notes a fault of an attempt that began at began. It reports whether
// that changed the status.
func (h *health) suffers(t trouble, began, now time.Time, plan *retryPlan) (news bool) {
	status := t.status()
	second := h.sole && t.by != h.trouble.by
	if status == h.status && !began.After(h.last) && !second {
		return false
	}
	first := h.status == Up
	if first {
		h.since = now
	}
	news = status != h.status
	worse := news && h.status == Throttling
	if worse {
		h.faults = 0 // a host that asked for less was there
	}
	if !h.sole {
		h.faults++
	}
	h.sole = status != Throttling && (first || worse || h.sole && !second)
	h.status, h.trouble, h.last, h.shrunk = status, t, now, true
	if status == Throttling {
		h.limit = max(1, h.limit/2)
		h.next = now.Add(min(firstPause<<min(h.faults-1, 20), plan.interval(1)))
		return news
	}
	h.limit = firstLimit
	h.next = now
	if !h.sole {
		h.next = now.Add(plan.wait(h.faults))
	}
	return news
}

// shift moves all times by a step of the clock.
func (h *health) shift(step time.Duration) {
	for _, t := range []*time.Time{&h.since, &h.last, &h.next} {
		if !t.IsZero() {
			*t = t.Add(step)
		}
	}
}
