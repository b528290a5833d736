package load

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Job is mail to be injected.
type Job struct {
	Address     string // of the relay
	Count       int    // messages
	Connections int    // at once
	Size        int    // octets of body
	Reuse       bool   // many messages a connection
	From        string
	To          func(number int) []string
	Rate        float64 // messages a second in all; 0: as fast as they are taken
	StartTLS    bool
	Login       *Credentials
	First       int     // number of the first message
	Ledger      *Ledger // nil: nobody wants to know
}

// Injected is what became of a Job.
type Injected struct {
	Accepted int
	Elapsed  time.Duration
	Waits    []time.Duration // from the end of the data to the 250, sorted
}

// Rate is in messages a second.
func (i Injected) Rate() float64 {
	if i.Elapsed <= 0 {
		return 0
	}
	return float64(i.Accepted) / i.Elapsed.Seconds()
}

// Inject sends a job's mail and returns when all of it has been answered. The
// first refusal ends it with an error, as smtp-source would: a run that lost
// something is not measured.
func Inject(ctx context.Context, job Job) (Injected, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	in := injection{Job: job, filler: newFiller(job.Size), start: time.Now()}
	waits := make([][]time.Duration, job.Connections)
	var sessions sync.WaitGroup
	for i := range job.Connections {
		sessions.Go(func() {
			var err error
			if waits[i], err = in.session(ctx); err != nil {
				cancel(err)
			}
		})
	}
	sessions.Wait()
	result := Injected{Elapsed: time.Since(in.start), Waits: slices.Concat(waits...)}
	result.Accepted = len(result.Waits)
	slices.Sort(result.Waits)
	if err := context.Cause(ctx); err != nil {
		return result, fmt.Errorf("inject after %d messages: %w", result.Accepted, err)
	}
	return result, nil
}

// injection is a job while it runs.
type injection struct {
	Job
	filler filler
	start  time.Time
	next   atomic.Int64
}

// session sends messages, one after the other, until none are left.
func (in *injection) session(ctx context.Context) ([]time.Duration, error) {
	var c *client
	defer func() {
		if c != nil {
			c.close()
		}
	}()
	var waits []time.Duration
	for {
		number := int(in.next.Add(1)) - 1
		if number >= in.Count {
			break
		}
		if err := in.pace(ctx, number); err != nil {
			return waits, err
		}
		if c == nil {
			var err error
			if c, err = connect(ctx, in.Address, in.StartTLS, in.Login); err != nil {
				return waits, err
			}
		}
		wait, err := in.send(c, in.First+number)
		if err != nil {
			return waits, err
		}
		waits = append(waits, wait)
		if !in.Reuse {
			if err := c.quit(); err != nil {
				return waits, err
			}
			c = nil
		}
	}
	if c == nil {
		return waits, nil
	}
	return waits, c.quit()
}

// pace waits for a message's turn and tells when there is no time left.
func (in *injection) pace(ctx context.Context, number int) error {
	if in.Rate <= 0 {
		return context.Cause(ctx)
	}
	turn := in.start.Add(time.Duration(float64(number) / in.Rate * float64(time.Second)))
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Until(turn)):
		return nil
	}
}

// send returns the time from the end of the data to its reply.
func (in *injection) send(c *client, number int) (time.Duration, error) {
	to := in.To(number)
	c.buf = in.filler.appendMessage(c.buf[:0], number, in.Size, in.From, to[0])
	var end time.Time
	err := c.transact(in.From, to, c.buf, func() {
		if in.Ledger != nil {
			in.Ledger.noteSent(number)
		}
		end = time.Now()
	})
	return time.Since(end), err
}
