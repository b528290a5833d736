package routing

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/postrider/postrider/internal/config"
)

// Resolver looks names up. Names are absolute: no search list is ever applied.
// Answers are kept for their TTL, the absence of an answer too; the same
// question is asked once at a time. It is safe for concurrent use.
type Resolver struct {
	asker   asker
	limit   time.Duration // for one look-up, all servers and aliases together
	cache   *cache
	flights singleflight.Group

	ctx  context.Context // of the flights, which are no single caller's
	stop context.CancelFunc

	observe func(kind Type, took time.Duration, err error) // may be nil

	mu     sync.Mutex // guards closed, and flying against Close
	closed bool
	flying sync.WaitGroup
}

// asker asks servers one question. It is all that is known here of the library
// behind it. Its errors are temporary.
type asker interface {
	ask(ctx context.Context, q question) (*response, error)
}

// lookupTimeouts is how long a look-up may take in all, in timeouts of a server.
const lookupTimeouts = 3

var errClosed = errors.New("the resolver is closed")

// NewResolver returns a resolver that asks c.Servers, or those of resolv.conf,
// which is read again when it changes. c.Timeout is what one server gets.
func NewResolver(c config.DNS) *Resolver {
	timeout := cmp.Or(c.Timeout, 5*time.Second)
	return newResolver(newClient(newServers(c.Servers, resolvConf), timeout), lookupTimeouts*timeout)
}

// Observe lets f hear of each look-up that was not in the cache and how long it
// took. It must be called before the first look-up.
func (r *Resolver) Observe(f func(kind Type, took time.Duration, err error)) { r.observe = f }

func newResolver(a asker, limit time.Duration) *Resolver {
	r := &Resolver{asker: a, limit: limit, cache: newCache(maxCached)}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

// Close ends the look-ups that run and waits for them. Later ones fail unless
// they are cached. It may be called twice.
func (r *Resolver) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.flying.Wait()
}

// Lookup returns the records of a type, aliases followed. An error is
// ErrAliasLoop, which is permanent, or temporary. That there is no such name is
// no error but an Answer.
func (r *Resolver) Lookup(ctx context.Context, name string, kind Type) (*Answer, error) {
	q := question{canonical(name), kind}
	if a := r.peek(q); a != nil {
		return a, nil
	}
	flight := r.flights.DoChan(q.kind.String()+" "+q.name, func() (any, error) {
		return r.fly(q)
	})
	select {
	case result := <-flight:
		if result.Err != nil {
			return nil, result.Err
		}
		return result.Val.(*Answer), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// peek returns the answer if it is known without asking anybody.
func (r *Resolver) peek(q question) *Answer {
	if a := special(q); a != nil {
		return a
	}
	return r.cache.get(q, time.Now())
}

// fly asks q on behalf of everyone who waits for it.
func (r *Resolver) fly(q question) (*Answer, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, errClosed
	}
	r.flying.Add(1)
	r.mu.Unlock()
	defer r.flying.Done()
	if a := r.cache.get(q, time.Now()); a != nil {
		return a, nil // an earlier flight landed after the caller had looked
	}
	ctx, cancel := context.WithTimeout(r.ctx, r.limit)
	defer cancel()
	start := time.Now()
	a, err := r.resolve(ctx, q)
	if r.observe != nil {
		r.observe(q.kind, time.Since(start), err)
	}
	if err != nil {
		return nil, err
	}
	a.Asked = start
	r.cache.put(q, a)
	return a, nil
}

// resolve follows aliases, within an answer and over further questions, to the
// records.
func (r *Resolver) resolve(ctx context.Context, q question) (*Answer, error) {
	a := &Answer{Name: q.name, Exists: true, TTL: maxTTL}
	for {
		resp, err := r.asker.ask(ctx, question{a.Name, q.kind})
		if err != nil {
			return nil, err
		}
		hops := len(a.Aliases)
		if err := a.follow(resp.records); err != nil {
			return nil, err
		}
		a.take(resp.records, q.kind)
		switch {
		case !a.empty():
			a.TTL = max(a.TTL, minTTL)
			return a, nil
		case resp.nxdomain || len(a.Aliases) == hops:
			a.Exists = !resp.nxdomain
			a.TTL = min(a.TTL, resp.negativeTTL, maxNegativeTTL)
			return a, nil
		}
		// The server gave the alias and not what is behind it: ask on.
	}
}

// follow goes from a.Name along the CNAMEs among records.
func (a *Answer) follow(records []record) error {
	for {
		i := slices.IndexFunc(records, func(rec record) bool {
			return rec.kind == TypeCNAME && rec.owner == a.Name
		})
		if i < 0 {
			return nil
		}
		target := records[i].target
		seen := slices.ContainsFunc(a.Aliases, func(hop Alias) bool { return hop.Owner == target })
		if seen || target == a.Name || len(a.Aliases) == maxAliases {
			return ErrAliasLoop
		}
		a.Aliases = append(a.Aliases, Alias{Owner: a.Name, Target: target, TTL: records[i].ttl})
		a.TTL = min(a.TTL, records[i].ttl)
		a.Name = target
	}
}

// take collects the records of that type at a.Name.
func (a *Answer) take(records []record, kind Type) {
	for _, rec := range records {
		if rec.kind != kind || rec.owner != a.Name {
			continue
		}
		a.TTL = min(a.TTL, rec.ttl)
		switch {
		case kind == TypeMX:
			a.MX = append(a.MX, MX{Preference: rec.pref, Host: rec.target})
		case len(a.Addresses) < maxAddresses:
			a.Addresses = append(a.Addresses, rec.addr)
		}
	}
	slices.SortStableFunc(a.MX, func(x, y MX) int { return cmp.Compare(x.Preference, y.Preference) })
	if len(a.MX) > maxMX {
		a.MX = slices.Clip(a.MX[:maxMX])
	}
}
