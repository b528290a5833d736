package admin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
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

// answered tells how long the answer took to a reader who has stopped to read.
func answered(t *testing.T, b Backend, method, path string) time.Duration {
	began := time.Now()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader("{}"))
	b.routes().ServeHTTP(&pager{header: http.Header{}}, r)
	return time.Since(began)
}

// An answer ends when its reader doesn't read on: a pager that is left open must
// not stand for ever in the way of an engine that has to be replaced.
func TestAnswersEndWithTheirReader(t *testing.T) {
	for _, row := range []struct {
		method, path string
		queue        Queue
		bound        time.Duration
	}{
		{http.MethodPost, "/v1/verify", rotten{}, patienceVerify},
		{http.MethodPost, "/v1/list", &fakeQueue{n: 5 * listPage}, patience},
		{http.MethodGet, "/v1/messages/" + fakeID(1).String() + "/content", &fakeQueue{}, patience},
	} {
		synctest.Test(t, func(t *testing.T) {
			if took := answered(t, Backend{Queue: row.queue}, row.method, row.path); took != row.bound {
				t.Errorf("%s: it took %s, want %s", row.path, took, row.bound)
			}
		})
	}
}

// slow is a queue that lists slowly.
type slow struct{ *fakeQueue }

func (q slow) List(ctx context.Context, sel queue.Selector, after queue.DeliveryKey, limit int) ([]queue.Entry, queue.DeliveryKey, error) {
	time.Sleep(2 * patience)
	return q.fakeQueue.List(ctx, sel, after, limit)
}

// A queue that takes its time is no fault of the reader.
func TestAReaderMayWaitForTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := Backend{Queue: slow{&fakeQueue{n: 2 * listPage}}}
		w := &reader{ResponseRecorder: httptest.NewRecorder()}
		b.routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/list", strings.NewReader("{}")))
		if n := strings.Count(w.Body.String(), "\n"); n != 2*listPage {
			t.Errorf("it read %d lines", n)
		}
	})
}

// reader is one who reads everything at once, unless the deadline has passed.
type reader struct {
	*httptest.ResponseRecorder
	deadline time.Time
}

func (r *reader) SetWriteDeadline(t time.Time) error {
	r.deadline = t
	return nil
}

func (r *reader) Write(p []byte) (int, error) {
	if !time.Now().Before(r.deadline) {
		return 0, os.ErrDeadlineExceeded
	}
	return r.ResponseRecorder.Write(p)
}
