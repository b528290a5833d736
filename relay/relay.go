package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/eventlog"
	"github.com/postrider/postrider/internal/mail"
	"github.com/postrider/postrider/policy"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
	"github.com/postrider/postrider/relay/admin"
	"github.com/postrider/postrider/relay/delivery"
	"github.com/postrider/postrider/relay/submission"
)

// Options is what a relay is made of.
type Options struct {
	// Config is the configuration as it has just been read. Open reads it once more,
	// to notice from then on what is written to its files.
	Config *config.Config
	// Load reads the configuration anew, from where Config came.
	Load func() (*config.Config, error)
	// Log takes events and the program's own lines. It stays its caller's.
	Log   *eventlog.Log
	Build admin.Build
}

// Relay is a running relay, or one that may be started.
type Relay struct {
	load    func() (*config.Config, error)
	log     *eventlog.Log
	logger  *slog.Logger
	carried carried
	rules   atomic.Pointer[rules]
	metrics *admin.Metrics
	engine  config.Size // what the storage engine may use until the end

	spool      *spool.Spool
	queue      *queue.Queue
	network    *network
	courier    *delivery.Courier
	submission *submission.Server
	admin      *admin.Server
	control    *admin.Control

	reloading sync.Mutex             // held by Reload; guards refused and seen
	refused   string                 // why the configuration as it is now is not in force; empty if it is
	seen      map[string]os.FileInfo // the watched files, as they were before they were read last
	draining  atomic.Bool            // set when Stop begins
	watching  sync.WaitGroup
	unwatch   context.CancelFunc
	stopping  sync.Once
	stopped   error // what Stop returns
}

// Open takes the state directory, recovers the queue and builds everything, but
// starts nothing. The error is a *spool.LockedError if another process has the
// state directory. After an error there is nothing to close.
func Open(o Options) (*Relay, error) {
	c, seen, err := read(o.Load, o.Config)
	if err != nil {
		return nil, err
	}
	r := &Relay{
		load: o.Load, log: o.Log, logger: o.Log.Logger(),
		carried: carried{counters: policy.NewCounters(), passwords: policy.NewPasswords()},
		engine:  c.Queue.Memory,
		seen:    seen,
	}
	limitMemory(c.Memory)
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	// First of all: it has the lock that keeps others off the state directory.
	r.spool, err = spool.Open(filepath.Join(c.StateDir, "queue"), spool.Options{
		Memory: int64(c.Queue.Memory), Logger: r.logger,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the queue: %w", err)
	}
	rules, err := r.firstRules(c)
	if err != nil {
		return nil, errors.Join(err, r.spool.Close())
	}
	r.rules.Store(rules)
	rules.warn(r.logger)
	r.build(rules, o.Build)
	return r, nil
}

// firstRules are those of the start, which makes the keys that outlive it.
func (r *Relay) firstRules(c *config.Config) (rules *rules, err error) {
	if r.carried.decoyKey, err = loadDecoyKey(c.StateDir); err != nil {
		return nil, err
	}
	if rules, err = newRules(c, r.carried); err != nil {
		return nil, err
	}
	r.carried.own = rules.certificate.own
	return rules, rules.certificate.save()
}

// build makes the rooms over the spool and joins them.
func (r *Relay) build(rules *rules, b admin.Build) {
	c := rules.config
	r.metrics = admin.NewMetrics(b, r.source())
	r.network = newNetwork(c, nil, r.metrics, r.logger)
	recorder := recorders{r.log, r.metrics}
	r.courier = delivery.New(delivery.Options{
		Settings: r.settings(rules),
		Meter:    meter{r.metrics},
	})
	r.queue = queue.New(r.spool, queue.Options{
		Owner:                  c.Hostname,
		Hostname:               c.Hostname,
		Postmaster:             postmaster(c.Hostname),
		Router:                 destinations{rules.table},
		Deliverer:              r.courier,
		Recorder:               recorder,
		Retry:                  c.Retry,
		Limits:                 c.Queue,
		Workers:                c.Delivery.Concurrency,
		DestinationConcurrency: c.Delivery.DestinationConcurrency,
		RecipientsPerDelivery:  c.Delivery.RecipientsPerTransaction,
		Logger:                 r.logger,
	})
	r.submission = submission.New(submission.Options{
		Hostname:      c.Hostname,
		Listeners:     c.Listeners,
		Limits:        c.Submission,
		MaxFailures:   c.Auth.MaxFailures,
		TLS:           func() *tls.Config { return r.rules.Load().certificate.config },
		Authenticator: func() policy.Authenticator { return r.rules.Load().authenticator },
		Judge:         func() policy.Judge { return r.rules.Load().policy },
		Handshake:     func(err error) { r.metrics.Handshake("server", err) },
		Queue:         receiver{r.queue, r.metrics},
		Recorder:      recorder,
		Logger:        r.logger,
	})
}

// postmaster returns the relay's own address. The configuration has been checked:
// a host name is a domain.
func postmaster(hostname string) mail.Address {
	d, err := mail.ParseDomain(hostname)
	if err != nil {
		d = mail.MustParseDomain("localhost")
	}
	return mail.Address{Local: "postmaster", Domain: d}
}

// Start runs the relay until Stop. After an error it has been stopped.
func (r *Relay) Start(ctx context.Context) error {
	if err := r.start(ctx); err != nil {
		return errors.Join(err, r.Stop(ctx))
	}
	c := r.rules.Load().config
	r.logger.Info("ready", "hostname", c.Hostname, "listeners", names(r.submission.Addrs()), "state_dir", c.StateDir)
	return nil
}

func (r *Relay) start(ctx context.Context) error {
	c := r.rules.Load().config
	if err := r.queue.Start(ctx); err != nil {
		return fmt.Errorf("starting the queue: %w", err)
	}
	var err error
	if r.control, err = admin.OpenControl(c.StateDir, admin.Backend{Queue: r.queue, Explain: r.explain}, r.logger); err != nil {
		return err
	}
	if r.admin, err = r.openAdmin(ctx, c.Admin); err != nil {
		return err
	}
	admin.SampleWaiting(c.Admin)
	if err := r.submission.Start(ctx); err != nil {
		return err
	}
	watching, cancel := context.WithCancel(context.Background())
	r.unwatch = cancel
	r.watching.Go(func() { r.watch(watching) })
	return nil
}

// openAdmin opens the admin listener, in the place of the one there is; nil if
// there is to be none.
func (r *Relay) openAdmin(ctx context.Context, c config.Admin) (*admin.Server, error) {
	if c.Address == "" {
		return nil, nil
	}
	var stopping []*admin.Server
	if r.admin != nil {
		stopping = append(stopping, r.admin)
	}
	return admin.Listen(ctx, c, admin.Health{Ready: r.ready}, r.metrics, r.logger, stopping...)
}

// errDraining is what a readiness probe reads between SIGTERM and the end.
var errDraining = errors.New("shutting down")

// ready returns nil if a message can be accepted durably now, or why not.
func (r *Relay) ready() error {
	if r.draining.Load() {
		return errDraining
	}
	return r.queue.Ready()
}

// ShutdownTimeout returns how long Stop may take by the configuration in force.
func (r *Relay) ShutdownTimeout() time.Duration { return r.rules.Load().config.ShutdownTimeout }

// Addrs returns the addresses of the listeners in the order of the configuration.
func (r *Relay) Addrs() []net.Addr { return r.submission.Addrs() }

// Stop ends the relay in the reverse order of its start: sessions finish their
// transactions, attempts at delivery are settled, and all that time new clients
// are answered 421; then the spool is closed. What has not ended when ctx does is
// cut off, which the log tells; it loses nothing, and is no error. Further calls
// return what the first one did.
func (r *Relay) Stop(ctx context.Context) error {
	r.stopping.Do(func() { r.stopped = r.stop(ctx) })
	return r.stopped
}

// settleTime is how much of the time for Stop is kept for attempts at delivery
// while clients use up theirs.
const settleTime = 3 * time.Second

// partingTime is for those who are just reading from the admin listener or the
// control socket when it closes. One may be a pager that is left open.
const partingTime = time.Second

func (r *Relay) stop(ctx context.Context) error {
	began := time.Now()
	r.draining.Store(true)
	if r.unwatch != nil {
		r.unwatch()
		r.watching.Wait()
	}
	drain, cancel := shorter(ctx, settleTime)
	defer cancel()
	if err := r.submission.Shutdown(drain); err != nil {
		r.logger.Warn("sessions were cut off; their clients have no 250 and will try again")
	}
	if err := r.queue.Stop(ctx); err != nil {
		r.logger.Warn("attempts at delivery were cut off; they will be repeated", "error", err)
	}
	r.submission.Close()
	r.courier.Close()
	r.network.close()
	reading, cancel := context.WithTimeout(ctx, partingTime)
	defer cancel()
	var err error
	if r.control != nil {
		err = r.control.Stop(reading)
	}
	if r.admin != nil {
		err = errors.Join(err, r.admin.Stop(reading))
	}
	err = errors.Join(err, r.spool.Close())
	r.logger.Info("stopped", "took", time.Since(began))
	return err
}

// shorter returns a context that ends by before ctx does, as far as there is that
// much time.
func shorter(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	if left := time.Until(deadline); left < 2*by {
		by = left / 2
	}
	return context.WithDeadline(ctx, deadline.Add(-by))
}

func names(addrs []net.Addr) []string {
	var list []string
	for _, a := range addrs {
		list = append(list, a.String())
	}
	return list
}
