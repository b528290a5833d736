package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/queue"
)

const (
	// maxRequest bounds a request's body, in octets: some thousand ids.
	maxRequest = 1 << 20
	// listPage is how many deliveries are read from the queue at once.
	listPage = 500
)

// Control is the control socket: HTTP with JSON over a unix socket, for the
// commands of the same binary. It is no interface for other programs; those use
// the commands' --json.
type Control struct {
	http     http.Server
	listener net.Listener
	path     string
	done     chan struct{}
}

// OpenControl opens the control socket in a state directory and serves it until
// Stop. A socket that a crash has left there is replaced, so the caller must hold
// the lock on the directory.
func OpenControl(stateDir string, b Backend, log *slog.Logger) (*Control, error) {
	path := config.ControlSocket(stateDir)
	l, err := bindPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	c := &Control{listener: l, path: path, done: make(chan struct{}), http: http.Server{
		Handler:           b.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
	go func() {
		defer close(c.done)
		if err := c.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the control socket stopped", "error", err)
		}
	}()
	return c, nil
}

// bindPrivate binds a unix socket that never, not even for a moment, is open to
// others: it is made in a directory of its own, and moved when its mode is 0600.
func bindPrivate(path string) (net.Listener, error) {
	dir, err := os.MkdirTemp(filepath.Dir(path), "c")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	first := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: first, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	if err = os.Chmod(first, 0o600); err == nil {
		err = os.Rename(first, path)
	}
	if err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Stop closes the socket, lets running commands finish until ctx ends, and waits
// for its goroutine.
func (c *Control) Stop(ctx context.Context) error {
	err := c.http.Shutdown(ctx)
	if err != nil {
		err = c.http.Close()
	}
	<-c.done
	if gone := os.Remove(c.path); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// routes are the paths under which Client asks.
func (b Backend) routes() http.Handler {
	mux := http.NewServeMux()
	q := b.Queue
	mux.HandleFunc("POST /v1/list", b.list)
	mux.HandleFunc("GET /v1/messages/{id}", b.show)
	mux.HandleFunc("GET /v1/messages/{id}/content", b.content)
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
	mux.HandleFunc("POST /v1/verify", b.verify)
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

func read[In any](w http.ResponseWriter, r *http.Request) (In, error) {
	var in In
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
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

// list writes one delivery a line while it pages through the queue.
func (b Backend) list(w http.ResponseWriter, r *http.Request) {
	request, err := read[listRequest](w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	sel, err := request.Selector()
	if err != nil {
		refuse(w, &Error{BadRequest, err.Error()})
		return
	}
	out := newLines(w)
	defer out.flush()
	var after queue.DeliveryKey
	for left := request.Limit; ; {
		page := listPage
		if left > 0 {
			page = min(page, left)
		}
		entries, next, err := b.Queue.List(r.Context(), sel, after, page)
		if err != nil {
			out.fail(err)
			return
		}
		plain(entries)
		for i := range entries {
			out.put(&entries[i])
		}
		if left -= len(entries); next == (queue.DeliveryKey{}) || request.Limit > 0 && left <= 0 || !out.flush() {
			return
		}
		after = next
	}
}

// verify writes one fault a line as they are found.
func (b Backend) verify(w http.ResponseWriter, r *http.Request) {
	out := newLines(w)
	defer out.flush()
	err := b.Queue.Verify(r.Context(), func(d queue.Damage) {
		out.put(d)
		out.flush()
	})
	if err != nil {
		out.fail(err)
	}
}

func (b Backend) show(w http.ResponseWriter, r *http.Request) {
	id, err := mail.ParseID(r.PathValue("id"))
	if err != nil {
		refuse(w, &Error{BadRequest, err.Error()})
		return
	}
	e, deliveries, err := b.Queue.Show(r.Context(), id)
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(messageOf(e, deliveries))
}

func (b Backend) content(w http.ResponseWriter, r *http.Request) {
	id, err := mail.ParseID(r.PathValue("id"))
	if err != nil {
		refuse(w, &Error{BadRequest, err.Error()})
		return
	}
	c, err := b.Queue.Content(r.Context(), id)
	if err != nil {
		refuse(w, err)
		return
	}
	defer c.Close()
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Length", fmt.Sprint(c.Size()))
	_, _ = io.Copy(w, io.NewSectionReader(c, 0, c.Size()))
}

// lines writes JSON lines. What fails after the first one is told in the last.
type lines struct {
	http *http.ResponseController
	b    *bufio.Writer
	e    *json.Encoder
}

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/x-ndjson")
	b := bufio.NewWriterSize(w, 32<<10)
	return &lines{http.NewResponseController(w), b, json.NewEncoder(b)}
}

func (l *lines) put(v any) { _ = l.e.Encode(v) } // flush tells

func (l *lines) fail(err error) { l.put(errorOf(err)) }

// flush reports whether the reader is still there.
func (l *lines) flush() bool { return l.b.Flush() == nil && l.http.Flush() == nil }
