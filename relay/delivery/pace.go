package delivery

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/postrider/postrider/internal/config"
)

// paces keeps the routes to their "messages" rate. What a route has used up
// outlives a reload.
type paces struct {
	mu      sync.Mutex // guards the map
	byRoute map[string]*pace
}

type pace struct {
	of      config.Rate
	limiter *rate.Limiter
}

// maxPaceWait is the longest wait for a route's turn that is spent here, holding a
// worker. Others need the workers, so longer ones are the queue's.
const maxPaceWait = time.Second

// wait returns 0 when the route may send another message, or ctx has ended.
// Otherwise it takes up nothing and returns how long it would have to wait.
func (p *paces) wait(ctx context.Context, route string, r config.Rate) time.Duration {
	if r.Count <= 0 || r.Per <= 0 {
		return 0
	}
	turn := p.limiter(route, r).Reserve()
	delay := turn.Delay()
	switch {
	case delay == 0:
		return 0
	case delay > maxPaceWait:
		turn.Cancel()
		return delay
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		turn.Cancel()
	}
	return 0
}

// limiter returns the route's limiter. Of the messages of a period a tenth may
// leave in a burst; the rest is spread evenly, so that in no period of that length
// more than Count leave.
func (p *paces) limiter(route string, r config.Rate) *rate.Limiter {
	burst := max(1, r.Count/10)
	limit := rate.Limit(float64(r.Count-burst+1) / r.Per.Seconds())
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.byRoute[route]
	if known == nil {
		known = &pace{r, rate.NewLimiter(limit, burst)}
		if p.byRoute == nil {
			p.byRoute = make(map[string]*pace)
		}
		p.byRoute[route] = known
	}
	if known.of != r {
		known.of = r
		known.limiter.SetLimit(limit)
		known.limiter.SetBurst(burst)
	}
	return known.limiter
}
