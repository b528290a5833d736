package relay

import (
	"context"
	"os"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/relay/admin"
	"github.com/postrider/postrider/relay/delivery"
	"github.com/postrider/postrider/relay/submission"
)

// Reload reads the configuration and everything it refers to anew and puts it in
// force whole. If anything is wrong with it, the old one stays in force and the
// error says what.
func (r *Relay) Reload() error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	r.refused = "" // whoever asks is told once more
	return r.tryReload()
}

// tryReload reloads, and logs what came of it unless it is the same refusal as
// before. r.reloading is held.
func (r *Relay) tryReload() error {
	old := r.rules.Load().config
	err := r.reload()
	r.metrics.Reloaded(err)
	if err != nil {
		if text := err.Error(); text != r.refused {
			r.refused = text
			r.logger.Error("the new configuration was refused, the old one stays in force", "error", err)
		}
		return err
	}
	r.refused = ""
	now := r.rules.Load()
	now.warn(r.logger)
	if m := now.config.Queue.Memory; m != r.engine {
		r.logger.Warn("takes effect at the next start", "key", "queue.memory", "in_force", r.engine.String(), "configured", m.String())
	}
	r.logger.Info("reloaded", "config", now.config.Source, "changed", strings.Join(config.Changed(old, now.config), ","))
	return nil
}

func (r *Relay) reload() error {
	n, err := r.prepare()
	if err != nil {
		return err
	}
	r.commit(n)
	return nil
}

// change is a reload for which everything is ready.
type change struct {
	rules *rules
	seen  map[string]os.FileInfo
	door  *admin.Server // may be the one there is; nil for none
	admit func()        // puts the listeners in place
}

// prepare does all of a reload that may fail. After an error nothing has happened.
func (r *Relay) prepare() (*change, error) {
	old := r.rules.Load().config
	c, seen, err := read(r.load, old)
	if err != nil {
		return nil, err
	}
	if c.StateDir != old.StateDir {
		// Users and certificates may lie in there too, so nothing of c holds.
		return nil, c.Fault("state_dir", "has changed from %s, which only a restart can put in force", old.StateDir)
	}
	rules, err := newRules(c, r.carried)
	if err != nil {
		return nil, err
	}
	door, err := r.moveAdmin(old.Admin, c.Admin)
	if err != nil {
		return nil, err
	}
	admit, err := r.submission.Prepare(context.Background(), submission.Reloadable{
		Hostname: c.Hostname, Listeners: c.Listeners, Limits: c.Submission, MaxFailures: c.Auth.MaxFailures,
	})
	if err != nil {
		if door != r.admin {
			closeAdmin(door)
		}
		return nil, err
	}
	return &change{rules, seen, door, admit}, nil
}

// commit puts n in force.
func (r *Relay) commit(n *change) {
	old, c := r.rules.Load().config, n.rules.config
	if !sameNetwork(old, c) {
		r.network = newNetwork(c, r.network, r.metrics, r.logger)
	}
	if err := n.rules.certificate.save(); err != nil {
		r.logger.Error("after a restart clients will see another certificate", "error", err)
	}
	r.carried.own = n.rules.certificate.own
	r.rules.Store(n.rules)
	r.seen = n.seen
	// What the engine holds beyond its new share it goes on holding.
	limitMemory(c.Memory + max(0, r.engine-c.Queue.Memory))
	r.log.Apply(c.Log)
	r.courier.Reload(r.settings(n.rules))
	r.queue.Reload(queue.Reloadable{
		Hostname:               c.Hostname,
		Postmaster:             postmaster(c.Hostname),
		Router:                 destinations{n.rules.table},
		Retry:                  &c.Retry,
		Limits:                 &c.Queue,
		Workers:                c.Delivery.Concurrency,
		DestinationConcurrency: c.Delivery.DestinationConcurrency,
		RecipientsPerDelivery:  c.Delivery.RecipientsPerTransaction,
	})
	n.admit() // last: who comes in by a new listener meets the new rules
	if n.door != r.admin {
		closeAdmin(r.admin)
		r.admin = n.door
		admin.SampleWaiting(c.Admin)
	}
}

// moveAdmin returns the admin listener for now: the one there is if nothing has
// changed, nil if there is to be none.
func (r *Relay) moveAdmin(old, now config.Admin) (*admin.Server, error) {
	if old == now {
		return r.admin, nil
	}
	return r.openAdmin(context.Background(), now)
}

// closeAdmin closes an admin listener, if it is one.
func closeAdmin(s *admin.Server) {
	if s == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), partingTime)
	defer cancel()
	_ = s.Stop(ctx) // all it could say is that somebody was cut off
}

// settings returns what delivery goes by under rules.
func (r *Relay) settings(rules *rules) delivery.Settings {
	return delivery.Settings{
		Hostname: rules.config.Hostname,
		Router:   nextHops{rules.table, r.network.router},
		Delivery: rules.config.Delivery,
	}
}
