package delivery

import (
	"context"
	"sync"

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

// wait returns when the route may send another message, or ctx ends. The waiting
// is done here, holding the destination's slot, because a paced route gains
// nothing from a second attempt that waits beside the first.
func (p *paces) wait(ctx context.Context, route string, r config.Rate) error {
	if r.Count <= 0 || r.Per <= 0 {
		return nil
	}
	return p.limiter(route, r).Wait(ctx)
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
