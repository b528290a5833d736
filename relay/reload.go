package relay

import (
	"context"
	"reflect"
	"slices"
	"strings"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/relay/delivery"
	"github.com/postrider/postrider/relay/submission"
)

// Reload reads the configuration and everything it refers to anew and puts it in
// force whole. If anything is wrong with it, the old one stays in force and the
// error says what.
func (r *Relay) Reload() error {
	r.reloading.Lock()
	defer r.reloading.Unlock()
	old := r.rules.Load().config
	err := r.reload()
	r.metrics.Reloaded(err)
	if err != nil {
		r.logger.Error("the new configuration was refused, the old one stays in force", "error", err)
		return err
	}
	now := r.rules.Load().config
	r.logger.Info("reloaded", "config", now.Source, "changed", strings.Join(config.Changed(old, now), ","))
	return nil
}

func (r *Relay) reload() error {
	c, err := r.load()
	if err != nil {
		return err
	}
	old := r.rules.Load()
	if key := needsRestart(old.config, c); key != "" {
		return config.Errors{{File: c.Source, Key: key, Problem: "has changed, which only a restart can put in force"}}
	}
	rules, err := newRules(c, r.carried, r.logger)
	if err != nil {
		return err
	}
	admit, err := r.submission.Prepare(context.Background(), submission.Reloadable{
		Hostname: c.Hostname, Listeners: c.Listeners, Limits: c.Submission, MaxFailures: c.Auth.MaxFailures,
	})
	if err != nil {
		return err
	}
	// From here on nothing fails.
	retired := r.network
	if !sameNetwork(old.config, c) {
		r.network = newNetwork(c, r.metrics, r.logger)
	}
	r.rules.Store(rules)
	r.log.Apply(c.Log)
	r.courier.Reload(r.settings(rules))
	r.queue.Reload(queue.Reloadable{
		Hostname:               c.Hostname,
		Postmaster:             postmaster(c.Hostname),
		Router:                 destinations{rules.table},
		Retry:                  &c.Retry,
		Limits:                 &c.Queue,
		Workers:                c.Delivery.Concurrency,
		DestinationConcurrency: c.Delivery.DestinationConcurrency,
	})
	admit() // last: who comes in by a new listener meets the new rules
	if retired != r.network {
		// An attempt that is just asking is answered "try again".
		retired.close()
	}
	return nil
}

// settings returns what delivery goes by under rules.
func (r *Relay) settings(rules *rules) delivery.Settings {
	return delivery.Settings{
		Hostname: rules.config.Hostname,
		Router:   nextHops{rules.table, r.network.router},
		Delivery: rules.config.Delivery,
	}
}

// needsRestart returns the first key that differs and that a running relay can't
// change.
func needsRestart(old, now *config.Config) string {
	for _, k := range []struct {
		key      string
		old, now any
	}{
		{"state_dir", old.StateDir, now.StateDir},
		{"delivery.recipients_per_transaction", old.Delivery.RecipientsPerMessage, now.Delivery.RecipientsPerMessage},
		{"memory", old.Memory, now.Memory},
		{"queue.memory", old.Queue.Memory, now.Queue.Memory}, // follows memory where nothing else is said
		{"admin", old.Admin, now.Admin},
	} {
		if !reflect.DeepEqual(k.old, k.now) {
			return k.key
		}
	}
	return ""
}

// watched returns the files whose change is worth a reload.
func (r *Relay) watched() []string {
	return slices.Clone(r.rules.Load().config.Files())
}

func (r *Relay) reloadChanged() {
	r.logger.Info("a watched file has changed")
	_ = r.Reload() // has logged its error
}
