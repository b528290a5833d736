package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/postrider/postrider/queue"
	"github.com/postrider/postrider/queue/spool"
	"github.com/postrider/postrider/relay/admin"
)

type queueVerify struct {
	JSON bool `name:"json" help:"One JSON object a line, one for each fault."`
}

// damage is one fault as programs read it.
type damage struct {
	ID      string `json:"id,omitempty"`
	Where   string `json:"where"`
	What    string `json:"what"`
	MovedTo string `json:"moved_to,omitempty"`
}

// errDamaged is the end of a verification that found something.
var errDamaged = errors.New("the queue is damaged; what is listed above can't be delivered")

// Run has the daemon read everything, or does it itself if none runs.
func (c queueVerify) Run(p *program) error {
	found := 0
	progress := p.progress()
	report := func(d queue.Damage) error {
		found++
		progress.clear()
		line := damage{Where: d.Where, What: d.What, MovedTo: d.MovedTo}
		if !d.Message.IsZero() {
			line.ID = d.Message.String()
		}
		if c.JSON {
			return newEncoder(p.stdout).Encode(line)
		}
		_, err := fmt.Fprintln(p.stdout, printable(fmt.Sprintf("%s %s: %s %s", line.ID, line.Where, line.What, line.MovedTo)))
		return err
	}
	err := p.ask(func(ctx context.Context, client *admin.Client) error {
		for d, err := range client.Verify(ctx, progress.show) {
			if err != nil {
				return err
			}
			if err := report(d); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, admin.ErrNoDaemon) {
		err = p.verifyOffline(report, progress.show)
	}
	progress.clear()
	switch {
	case err != nil:
		return err
	case found > 0:
		return dataError{errDamaged.Error()}
	case !c.JSON:
		_, err = fmt.Fprintln(p.stdout, "OK: everything in the queue can be read")
	}
	return err
}

// verifyOffline opens the spool of a relay that does not run. It makes none.
func (p *program) verifyOffline(report func(queue.Damage) error, progress func(done, total int64)) error {
	state, err := p.stateDir()
	if err != nil {
		return err
	}
	dir := filepath.Join(state, "queue")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return dataError{"there is no queue in " + state + " yet"}
	}
	s, err := spool.Open(dir, spool.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	var written error
	for _, d := range s.Damaged() {
		written = errors.Join(written, report(d))
	}
	err = s.Verify(context.Background(), func(d queue.Damage) { written = errors.Join(written, report(d)) }, progress)
	return errors.Join(err, written, s.Close())
}
