package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/postrider/postrider/internal/config"
	"github.com/postrider/postrider/internal/eventlog"
	"github.com/postrider/postrider/relay"
)

type serveCommand struct{}

// Run serves until SIGTERM or SIGINT.
func (serveCommand) Run(p *program) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	log := eventlog.Open(p.stderr, c.Log)
	defer log.Close()
	if err := p.serve(c, log); err != nil {
		// stderr is the log's, and may have to be JSON.
		log.Logger().Error("the relay can't run", "error", err)
		return reported{err}
	}
	return nil
}

// serve runs the relay and does what signals say.
func (p *program) serve(c *config.Config, log *eventlog.Log) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	signal.Ignore(syscall.SIGPIPE) // a reader of the log that goes away must not end the relay

	if err := firstRun(c); err != nil {
		return err
	}
	r, err := relay.Open(relay.Options{Config: c, Load: p.load, Log: log, Build: build()})
	if err != nil {
		return err
	}
	if err := r.Start(context.Background()); err != nil {
		return err
	}
	if addrs := r.Addrs(); len(addrs) > 0 {
		greet(p.stdout, c, addrs[0])
	}
	for s := range signals {
		if s != syscall.SIGHUP {
			log.Logger().Info("stopping", "signal", s.String())
			return stop(r, signals)
		}
		_ = r.Reload() // has logged its error; the old configuration stays in force
	}
	return nil
}

// stop drains the relay within the configured time. Another SIGTERM or SIGINT ends
// that at once; nothing acknowledged is lost either way.
func stop(r *relay.Relay, signals <-chan os.Signal) error {
	ctx, cancel := context.WithTimeout(context.Background(), r.ShutdownTimeout())
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- r.Stop(ctx) }()
	for {
		select {
		case err := <-stopped:
			return err
		case s := <-signals:
			if s != syscall.SIGHUP {
				cancel()
			}
		}
	}
}
