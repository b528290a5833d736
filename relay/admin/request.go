package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/postrider/postrider/queue"
)

// maxRequest bounds a request's body, in octets: some thousand ids.
const maxRequest = 1 << 20

// routes are the paths under which Client asks.
func (b Backend) routes() http.Handler {
	mux := http.NewServeMux()
	q := b.Queue
	mux.HandleFunc("POST /v1/list", patiently(patience, b.list))
	mux.HandleFunc("GET /v1/messages/{id}", b.show)
	mux.HandleFunc("GET /v1/messages/{id}/content", patiently(patience, b.content))
	for name, do := range map[string]func(context.Context, queue.Selector) (int, error){
		"retry": q.Retry, "hold": q.Hold, "release": q.Release, "delete": q.Delete, "bounce": q.Bounce,
	} {
		mux.HandleFunc("POST /v1/"+name, reply(func(ctx context.Context, s Selection) (count, error) {
			sel, err := s.Selector()
			if err != nil {
				return count{}, &Error{BadRequest, err.Error()}
			}
			n, err := do(ctx, sel)
			return count{n}, err
		}))
	}
	mux.HandleFunc("POST /v1/rules/list", reply(func(context.Context, struct{}) ([]queue.HoldRule, error) {
		return q.HoldRules(), nil
	}))
	mux.HandleFunc("POST /v1/rules/add", reply(func(_ context.Context, r queue.HoldRule) (struct{}, error) {
		return struct{}{}, q.AddHoldRule(r)
	}))
	mux.HandleFunc("POST /v1/rules/remove", reply(func(_ context.Context, r queue.HoldRule) (struct{}, error) {
		return struct{}{}, q.RemoveHoldRule(r)
	}))
	mux.HandleFunc("POST /v1/stats", reply(func(ctx context.Context, _ struct{}) (Stats, error) {
		s, err := q.Stats(ctx)
		return Stats{s, q.Destinations()}, err
	}))
	mux.HandleFunc("POST /v1/verify", patiently(patienceVerify, b.verify))
	if b.Explain != nil {
		mux.HandleFunc("POST /v1/explain", reply(func(ctx context.Context, question Question) (*Explanation, error) {
			return b.Explain(ctx, question)
		}))
	}
	return mux
}

// count is the answer of commands that change deliveries.
type count struct {
	Count int `json:"count"`
}

// listRequest asks for deliveries; a Limit of 0 is none.
type listRequest struct {
	Selection
	Limit int `json:"limit,omitempty"`
}

// reply makes a handler of a function from one JSON value to another.
func reply[In, Out any](do func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		in, err := read[In](w, r)
		if err == nil {
			var out Out
			if out, err = do(r.Context(), in); err == nil {
				w.Header().Set("Content-Type", "application/json")
				_ = json.NewEncoder(w).Encode(out)
				return
			}
		}
		refuse(w, err)
	}
}

// read reads a request. A key that is not known might be a condition: without it
// the command would be about more than was meant.
func read[In any](w http.ResponseWriter, r *http.Request) (In, error) {
	var in In
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return in, &Error{BadRequest, "the request can't be read: " + err.Error()}
	}
	return in, nil
}

func refuse(w http.ResponseWriter, err error) {
	e := errorOf(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status())
	_ = json.NewEncoder(w).Encode(e)
}
