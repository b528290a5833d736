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

// paces keeps the routes to their "messages" rate. What a route has used up
// outlives a reload.
type paces struct {
	mu      sync.Mutex // guards the map and the turns in it
	byRoute map[string]*pace
}

type pace struct {
	of      config.Rate
	limiter *rate.Limiter
	// turns are when destinations that were told to wait are to come again: one
	// after the other, as the rate allows, and not all for the next message that
	// may leave. last is the latest of them.
	turns map[queue.Destination]time.Time
	last  time.Time
}

const (
	// maxPaceWait is the longest wait for a route's turn that is spent here,
	// holding a worker. Others need the workers, so longer ones are the queue's.
	maxPaceWait = time.Second
	// maxPaceLine is how far ahead turns are given. A destination that no longer
	// wants its turn keeps the others waiting no longer than this.
	maxPaceLine = 5 * time.Minute
	maxTurns    = 10_000
)

// wait returns 0 when the route of d may send another message, or ctx has ended.
// Otherwise it takes up nothing and returns for how long d is to wait.
func (p *paces) wait(ctx context.Context, d queue.Destination, r config.Rate) time.Duration {
	if r.Count <= 0 || r.Per <= 0 {
		return 0
	}
	of := p.pace(d.Route, r)
	reserved := of.limiter.Reserve()
	delay := reserved.Delay()
	switch {
	case delay == 0:
		return 0
	case delay > maxPaceWait:
		reserved.Cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		return of.turn(d, time.Now(), delay)
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		reserved.Cancel()
	}
	return 0
}

// pace returns the route's pace. Of the messages of a period a tenth may leave in a
// burst; the rest is spread evenly, so that in no period of that length more than
// Count leave.
func (p *paces) pace(route string, r config.Rate) *pace {
	burst := max(1, r.Count/10)
	limit := rate.Limit(float64(r.Count-burst+1) / r.Per.Seconds())
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.byRoute[route]
	if known == nil {
		known = &pace{of: r, limiter: rate.NewLimiter(limit, burst)}
		if p.byRoute == nil {
			p.byRoute = make(map[string]*pace)
		}
		p.byRoute[route] = known
	}
	if known.of != r {
		known.of, known.turns, known.last = r, nil, time.Time{}
		known.limiter.SetLimit(limit)
		known.limiter.SetBurst(burst)
	}
	return known
}

// turn returns for how long d is to wait, where the next message may leave after
// delay. A destination has one turn at a time. paces.mu is held.
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
