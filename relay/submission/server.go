package submission

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
	"github.com/postrider/postrider/queue"
)

// Receiver opens a place in the queue for a message to come. Its errors are
// *mail.Error where they are meant for clients (452 4.3.1 for a full queue);
// any other error is answered with 451 and logged.
type Receiver interface {
	Receive(ctx context.Context) (Incoming, error)
}

// Incoming is one message on its way into the queue.
type Incoming interface {
	io.Writer
	// ID is the name the message will have.
	ID() mail.ID
	// Commit makes content and envelope durable, or returns an error and keeps
	// nothing. The envelope is the queue's afterwards.
	Commit(ctx context.Context, e *mail.Envelope, d queue.Disposition) error
	// Discard frees everything. After Commit it does nothing.
	Discard()
}

// Options is what a Server needs. Functions are asked anew for each handshake,
// AUTH or transaction, so that a reload is in force at once.
type Options struct {
	Hostname  string
	Listeners []config.Listener
	Limits    config.Submission
	// MaxFailures is how many failed AUTH commands a session may have before
	// it is answered 421.
	MaxFailures int

	// TLS returns what handshakes use; nil means that there is no certificate
	// at present (STARTTLS is not offered, and 454).
	TLS           func() *tls.Config
	Authenticator func() policy.Authenticator
	Judge         func() policy.Judge
	// Handshake, if not nil, is told how each TLS handshake with a client ended.
	Handshake func(error)
	Queue     Receiver
	Recorder  mail.Recorder
	Logger    *slog.Logger
}

// Server is the SMTP front end.
type Server struct {
	opt       Options
	settings  atomic.Pointer[settings]
	addresses census[addressKey]
	users     census[string]
	penalties *penalties
	farewells chan struct{} // bounds the goroutines that turn clients away

	// ctx ends when the server gives up on sessions, and open, from which it
	// comes, when it closes.
	ctx    context.Context
	cancel context.CancelFunc
	open   context.Context
	close  context.CancelFunc

	draining atomic.Bool    // set under mu
	crowded  atomic.Bool    // set under mu: three quarters of the connections were taken, and half still are
	accepts  sync.WaitGroup // accept loops and farewells
	running  sync.WaitGroup // sessions

	mu       sync.Mutex // guards what follows
	sockets  []*socket  // in the order of the configuration
	sessions map[*session]struct{}
	closed   bool
}

// New makes a Server. It does nothing before Start.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		opt:       o,
		addresses: newCensus[addressKey](),
		users:     newCensus[string](),
		penalties: newPenalties(),
		farewells: make(chan struct{}, maxFarewells),
		sessions:  make(map[*session]struct{}),
	}
	s.settings.Store(newSettings(o.Hostname, o.Limits, o.MaxFailures))
	s.open, s.close = context.WithCancel(context.Background())
	s.ctx, s.cancel = context.WithCancel(s.open)
	return s
}

// Start opens all listeners, or none and returns why. It returns at once; ctx
// bounds the opening only.
func (s *Server) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.sockets != nil {
		return errors.New("submission: started before")
	}
	var opened []*socket
	for _, c := range s.opt.Listeners {
		k, err := listen(ctx, c)
		if err != nil {
			for _, o := range opened {
				_ = o.Close()
			}
			return fmt.Errorf("listener %s: %w", c.Address, err)
		}
		opened = append(opened, k)
	}
	s.sockets = opened
	for _, k := range opened {
		s.accepts.Go(func() { s.accept(k) })
	}
	return nil
}

// Addrs returns the addresses of the listeners in the order of the
// configuration, with the ports they really got. It is empty before Start.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make([]net.Addr, len(s.sockets))
	for i, k := range s.sockets {
		addrs[i] = k.Addr()
	}
	return addrs
}

// Shutdown stops taking mail: new and idle clients are answered 421 4.3.2,
// transactions that run may end until ctx is done, and are cut off then; the error
// is ctx's in that case. Listeners go on answering 421 until Close.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	for c := range s.sessions {
		c.wake()
	}
	s.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		n := s.cutOff()
		<-ended
		if n == 0 {
			return nil
		}
		return ctx.Err()
	}
}

// cutOff ends all sessions as they are, and returns how many there were.
func (s *Server) cutOff() int {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sessions {
		_ = c.raw.Close()
	}
	return len(s.sessions)
}

// Close cuts everything off and waits until it is gone.
func (s *Server) Close() {
	s.close()
	s.mu.Lock()
	s.draining.Store(true)
	s.closed = true
	for _, k := range s.sockets {
		_ = k.Close()
	}
	s.mu.Unlock()
	s.cutOff()
	s.accepts.Wait()
	s.running.Wait()
}

// enter registers a session, or returns why there can't be one more.
func (s *Server) enter(c *session) (mail.Reply, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return replyShutdown, false
	}
	most := c.set.limits.MaxConnections
	if most > 0 && len(s.sessions) >= most {
		return replyTooManyConnections, false
	}
	s.sessions[c] = struct{}{}
	s.running.Add(1)
	if most > 0 && len(s.sessions) > most-most/4 && !s.crowded.Swap(true) {
		for c := range s.sessions {
			c.wake()
		}
	}
	return mail.Reply{}, true
}

// leave is the opposite of enter.
func (s *Server) leave(c *session) {
	s.mu.Lock()
	delete(s.sessions, c)
	if len(s.sessions) <= s.settings.Load().limits.MaxConnections/2 {
		s.crowded.Store(false)
	}
	s.mu.Unlock()
	s.running.Done()
}

// tlsConfig returns what a handshake uses now; nil for none.
func (s *Server) tlsConfig() *tls.Config {
	if s.opt.TLS == nil {
		return nil
	}
	return s.opt.TLS()
}

// record sends an event, if anyone listens.
func (s *Server) record(e mail.Event) {
	if s.opt.Recorder != nil {
		s.opt.Recorder.Record(e)
	}
}
