package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/handover"
)

// Health answers the probes.
type Health struct {
	// Ready returns nil if a message can be accepted durably now, or why not.
	Ready func() error
}

// Server is the HTTP listener for health and metrics.
type Server struct {
	http     http.Server
	listener net.Listener
	done     chan struct{}
}

// Listen opens c.Address for health and metrics, and for profiles if c says so,
// and serves it until Stop. It may overlap the addresses of servers that are
// stopped next.
func Listen(ctx context.Context, c config.Admin, h Health, m *Metrics, log *slog.Logger, stopping ...*Server) (*Server, error) {
	var closing []net.Listener
	for _, s := range stopping {
		closing = append(closing, s.listener)
	}
	l, err := handover.Listen(ctx, c.Address, closing...)
	if err != nil {
		return nil, fmt.Errorf("admin.address: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { answer(w, h.Ready()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), MaxRequestsInFlight: 4, Timeout: 30 * time.Second,
	}))
	if c.Pprof {
		serveProfiles(mux)
	}
	s := &Server{listener: l, done: make(chan struct{}), http: http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong
	}}
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the admin listener stopped", "error", err)
		}
	}()
	return s, nil
}

// answer writes what a probe and a person want to know: 200 "ok", or 503 and why
// not.
func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, err)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// Addr returns where it listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Stop closes the listener, lets running requests finish until ctx ends, and
// waits for its goroutine.
func (s *Server) Stop(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.done
	return err
}
