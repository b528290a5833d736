package delivery

import (
	"context"
	"maps"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/queue"
)

// paces keeps routes and destinations to the rates of their "messages" and
// "destination_messages". What has been used up outlives a reload.
type paces struct {
	mu      sync.Mutex // guards everything below
	byRoute map[string]*pace
	// byDestination holds those that have sent something lately, of all whose route
	// has a rate for each of them. It is apart from byRoute: the destination of a
	// smarthost route is called as its route, and has a rate beside the route's.
	byDestination map[queue.Destination]*pace
}

type pace struct {
	of      config.Rate
	limiter *rate.Limiter
	// turns are when destinations that were told to wait for their route are to come
	// again: one after the other, as the rate allows, and not all for the next
	// message that may leave. last is the latest of them.
	turns map[queue.Destination]time.Time
	last  time.Time
}

const (
	// maxPaceWait is the longest wait for a message's turn that is spent here,
	// holding a worker. Others need the workers, so longer ones are the queue's.
	maxPaceWait = time.Second
	// maxPaceLine is how far ahead turns are given. A destination that no longer
	// wants its turn keeps the others waiting no longer than this.
	maxPaceLine = 5 * time.Minute
	maxTurns    = 10_000
	// maxPaced bounds paces.byDestination. With rates so slow that more than half as
	// many destinations have still used up something, all may send anew.
	maxPaced = 20_000
)

// wait returns 0 when another message may leave to d, by the rate of its route and
// by that of each destination, or ctx has ended. Otherwise it takes up nothing and
// returns for how long d is to wait. A zero rate is no limit.
func (p *paces) wait(ctx context.Context, d queue.Destination, route, each config.Rate) time.Duration {
	delay := p.reserve(d, route, each, time.Now())
	if delay == 0 || delay > maxPaceWait {
		return delay
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return 0
}

// reserve takes up a message to d and returns in how long it may leave. If that is
// longer than maxPaceWait it takes up nothing: not of the route's rate what the
// destination can't use, nor the other way round.
func (p *paces) reserve(d queue.Destination, route, each config.Rate, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := new(rate.Reservation) // of no limiter
	var delay time.Duration
	if !each.IsZero() {
		own = p.destination(d, each, now).limiter.ReserveN(now, 1)
		delay = own.DelayFrom(now)
	}
	if delay > maxPaceWait {
		own.CancelAt(now)
		return delay
	}
	if route.IsZero() {
		return delay
	}
	of := p.pace(d.Route, route)
	shared := of.limiter.ReserveN(now, 1)
	if wait := shared.DelayFrom(now); wait > maxPaceWait {
		shared.CancelAt(now)
		own.CancelAt(now)
		return of.turn(d, now, wait)
	}
	return max(delay, shared.DelayFrom(now))
}

// pace returns the route's pace.
func (p *paces) pace(route string, r config.Rate) *pace {
	if p.byRoute == nil {
		p.byRoute = make(map[string]*pace)
	}
	return paceOf(p.byRoute, route, r)
}

// destination returns d's own pace. Destinations are forgotten when they may send as
// if they never had.
func (p *paces) destination(d queue.Destination, r config.Rate, now time.Time) *pace {
	if p.byDestination == nil {
		p.byDestination = make(map[queue.Destination]*pace)
	}
	if p.byDestination[d] == nil && len(p.byDestination) >= maxPaced {
		maps.DeleteFunc(p.byDestination, func(_ queue.Destination, of *pace) bool { return of.full(now) })
		if len(p.byDestination) > maxPaced/2 { // to look through them seldom
			clear(p.byDestination)
		}
	}
	return paceOf(p.byDestination, d, r)
}

// paceOf returns the pace of key, with rate r. Of the messages of a period a tenth
// may leave in a burst; the rest is spread evenly, so that in no period of that
// length more than Count leave.
func paceOf[K comparable](all map[K]*pace, key K, r config.Rate) *pace {
	burst := max(1, r.Count/10)
	limit := rate.Limit(float64(r.Count-burst+1) / r.Per.Seconds())
	known := all[key]
	if known == nil {
		known = &pace{of: r, limiter: rate.NewLimiter(limit, burst)}
		all[key] = known
	}
	if known.of != r {
		known.of, known.turns, known.last = r, nil, time.Time{}
		known.limiter.SetLimit(limit)
		known.limiter.SetBurst(burst)
	}
	return known
}

// full reports whether nothing of a burst is used up.
func (p *pace) full(now time.Time) bool {
	return p.limiter.TokensAt(now) >= float64(p.limiter.Burst())
}

// turn returns for how long d is to wait, where the route's next message may leave
// after delay. A destination has one turn at a time. paces.mu is held.
func (p *pace) turn(d queue.Destination, now time.Time, delay time.Duration) time.Duration {
	first := now.Add(delay)
	if at := p.turns[d]; at.After(now) {
		return max(at.Sub(now), delay)
	}
	at := p.last.Add(time.Duration(float64(time.Second) / float64(p.limiter.Limit())))
	if at.Before(first) || at.Sub(first) > maxPaceLine {
		at = first
	}
	if len(p.turns) >= maxTurns {
		maps.DeleteFunc(p.turns, func(_ queue.Destination, at time.Time) bool { return !at.After(now) })
	}
	if p.turns == nil || len(p.turns) >= maxTurns {
		p.turns = make(map[queue.Destination]time.Time)
	}
	p.turns[d], p.last = at, at
	return at.Sub(now)
}
