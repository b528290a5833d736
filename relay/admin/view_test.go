package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postrider/postrider/queue"
)

// pager is a reader that has stopped to read.
type pager struct {
	header   http.Header
	deadline time.Time
}

func (p *pager) Header() http.Header { return p.header }

func (p *pager) WriteHeader(int) {}

// Write fails at the deadline; without one it waits for ever.
func (p *pager) Write([]byte) (int, error) {
	if p.deadline.IsZero() {
		select {}
	}
	time.Sleep(time.Until(p.deadline))
	return 0, os.ErrDeadlineExceeded
}

func (p *pager) SetWriteDeadline(t time.Time) error {
	p.deadline = t
	return nil
}

func (p *pager) FlushError() error { return nil }

// rotten is a queue in which a verification finds more and more.
type rotten struct{ *fakeQueue }

func (rotten) Verify(ctx context.Context, report func(queue.Damage), _ func(done, total int64)) error {
	for ctx.Err() == nil {
		report(queue.Damage{Where: "content", What: "its checksum is wrong"})
	}
	return ctx.Err()
}

// A verification ends when its reader doesn't read on: it must not stand for ever
// in the way of an engine that has to be replaced.
func TestVerifyEndsWithItsReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		b := Backend{Queue: rotten{}}
		b.verify(&pager{header: http.Header{}}, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/verify", nil))
		if took := time.Since(began); took != patience {
			t.Errorf("it took %s, want %s", took, patience)
		}
	})
}
